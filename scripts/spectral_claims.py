"""What three papers say of spectra in RLVR, each as a question that figures answer, by a rule that is stated."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from scripts.spectral_questions import (
    concentrated,
    ends_principal,
    full_is_compressible,
    full_is_off_principal,
    full_is_spread,
    geora_avoids_the_head,
    geora_in_its_place,
    head_at_least,
    kept_similarity,
    large_values,
    larger_than,
    low_similarity,
    masks_differ,
    milora_s_start,
    no_larger_than,
    premise,
    scaled_by_large_values,
    shifted_more,
    smaller_shift,
    stays_in_the_tail,
    tail_of_w,
)
from scripts.spectral_study import Finding, Study

RLPO = "RLPO, [2606.31813](https://arxiv.org/abs/2606.31813)"
GEORA = "GeoRA, [2601.09361](https://arxiv.org/abs/2601.09361)"
TWELVE = "the study of twelve methods"


@dataclass(frozen=True)
class Claim:
    """What a paper says, how it is asked here, and the rule that decides."""

    source: str
    says: str
    rule: str
    ask: Callable[[Study], Iterator[Finding]]
    built_in: str = ""  # what of the answer follows from the method alone, whatever was learned

    def findings(self, study: Study) -> list[Finding]:
        """Every answer."""
        return list(self.ask(study))


CLAIMS = (
    Claim(
        RLPO + ", Fig. 3",
        "PiSSA's trained update is concentrated in W's leading directions",
        "more than half of Σc² in the leading r",
        concentrated("pissa", "head"),
        "u_iᵀΔWv_i is zero to first order for i > r (Lemma B.1), for RLPO and OLoRA too: its place shows the start",
    ),
    Claim(
        RLPO + ", Fig. 3",
        "MiLoRA's trained update is concentrated in W's trailing directions",
        "more than half of Σc² in the trailing r",
        concentrated("milora", "tail"),
        "u_iᵀΔWv_i is zero to first order outside the trailing r; where factors are small, the second counts",
    ),
    Claim(
        RLPO + ", Fig. 7",
        "RLPO's A stays with the leading, RLMO's with the trailing right singular vectors throughout training",
        "‖AV‖_F/‖A‖_F nearer to 1 than to chance at every measurement",
        kept_similarity,
        "A begins there, and a step of Adam moves an entry by about the rate: a small rate keeps A by itself",
    ),
    Claim(
        RLPO + ", Fig. 7",
        "DCT-LoRA's and Wavelet-LoRA's A are similar to neither",
        "‖AV‖_F/‖A‖_F nearer to chance than to 1 at every measurement",
        low_similarity,
    ),
    Claim(
        RLPO + ", Table 4, against " + TWELVE,
        "MiLoRA's start is not negligible",
        "s‖B₀A₀‖_F is larger than all that training then changes",
        milora_s_start,
    ),
    Claim(
        RLPO + ", Appendix D.1",
        "the trained MiLoRA keeps mass off the principal subspace",
        "S_Tail above chance",
        stays_in_the_tail,
        "ΔB·A₀ lies wholly in the trailing input directions and B₀·ΔA in the output ones, so that a half is given",
    ),
    Claim(
        RLPO + ", §4.1",
        "singular values are large at a moderate rank, σ_r ≫ 1",
        "σ_r of W above 1",
        large_values,
    ),
    Claim(
        RLPO + ", Fig. 9, against " + TWELVE,
        "the trailing singular values of the MLP projections are clearly not zero",
        "the mean of the trailing r is above 1% of that of the leading r",
        tail_of_w,
    ),
    Claim(
        RLPO + ", Fig. 2 and §4",
        "PiSSA and MiLoRA have larger gradient norms than LoRA",
        "ratio of the means over the run, seed by seed, above 1",
        larger_than((("pissa", "lora"), ("milora", "lora")), "grad_norm"),
    ),
    Claim(
        RLPO + ", Fig. 2 and §4",
        "PiSSA and MiLoRA drift further than LoRA in a step",
        "ratio of the mean KL of a rollout's updates (Eq. 6) above 1",
        larger_than((("pissa", "lora"), ("milora", "lora")), "kl_step"),
    ),
    Claim(
        RLPO + ", Fig. 5 and §4.1",
        "without Σ, as in OLoRA and OLoRA-tail, the drift is smaller",
        "ratio of the mean KL of a rollout's updates above 1, where σ_r > 1 as the claim supposes",
        scaled_by_large_values,
    ),
    Claim(
        RLPO + ", Fig. 6",
        "RLPO's and RLMO's drift is comparable to LoRA's or smaller",
        "ratio of the mean KL of a rollout's updates below 2",
        no_larger_than((("rlpo", "lora"), ("rlmo", "lora")), "kl_step"),
    ),
    Claim(
        TWELVE + ", finding 2, after [2511.08567](https://arxiv.org/abs/2511.08567)",
        "RLVR learns off the principal directions",
        "S_Head of full fine-tuning below chance",
        full_is_off_principal,
    ),
    Claim(
        TWELVE + ", Fig. 3",
        "full fine-tuning's update is spread evenly over the spectrum",
        "S_Head and S_Tail within a factor of two of chance",
        full_is_spread,
    ),
    Claim(
        TWELVE + ", Fig. 3",
        "PiSSA's update ends in the principal part",
        "more in the leading than in the trailing directions",
        ends_principal("pissa"),
    ),
    Claim(
        TWELVE + ", Fig. 3; disputed by " + RLPO,
        "MiLoRA's update ends in the principal part too",
        "more in the leading than in the trailing directions",
        ends_principal("milora"),
    ),
    Claim(
        GEORA,
        "RLVR's update is anisotropic and compressible, concentrated along few directions",
        "stable rank of full fine-tuning's change below that of a change of independent entries",
        full_is_compressible,
    ),
    Claim(
        GEORA,
        "PiSSA and MiLoRA cause a spectral collapse",
        "ratio of the NSS, seed by seed, above 1: the word is not defined, and a spectrum that collapses is moved",
        shifted_more,
    ),
    Claim(
        GEORA,
        "GeoRA's update targets the tail subspace that its masks leave",
        "more energy in the masks than in random ones, and S_Tail above chance",
        geora_in_its_place,
        "ΔB·A₀ and B₀·ΔA have the directions of W ⊙ (M_Spec ∪ M_Euc), so that more than chance is given",
    ),
    Claim(
        GEORA,
        "PiSSA's S_Head is about 0.98",
        "S_Head above 0.9, of the true change and of sBA: the notes do not say which they mean",
        head_at_least("pissa", 0.9),
        "ΔB·A₀ lies wholly in the leading input directions and B₀·ΔA in the output ones, so that about a half is "
        "given; sBA holds the start, which is W's leading part itself, so that near 1 is given",
    ),
    Claim(
        GEORA,
        "GeoRA's update barely touches the leading directions (S_Head ≤ 0.02)",
        "S_Head below chance, of the true change and of sBA: 0.02 is no bound where r/n is larger",
        geora_avoids_the_head,
        "sBA holds the start, whose place is that of W ⊙ (M_Spec ∪ M_Euc)",
    ),
    Claim(
        GEORA,
        "GeoRA moves the spectrum less than PiSSA (NSS 0.092 beside 0.395)",
        "ratio of the NSS, seed by seed, below 1, as it is and for the size of the change",
        smaller_shift,
    ),
    Claim(
        GEORA,
        "the spectral and the Euclidean mask are complementary (4.55% in both, Jaccard 0.128)",
        "Jaccard index nearer to that of independent masks than to 1",
        masks_differ,
    ),
    Claim(
        GEORA,
        "RLVR's update lies where the masks are",
        "share of full fine-tuning's energy inside, over that of random masks of the same size, above 1",
        premise,
        "Adam moves the entries of a matrix about alike, which alone gives a ratio near 1",
    ),
)
