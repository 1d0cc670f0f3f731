"""How each of the papers' claims is asked: figures of a study → findings, by a rule that is stated."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Sequence

from scripts.spectral_study import EVERY, PAPER, TRAINING, Finding, Study, Verdict, above, below, interval, ratio

S_HEADS = (("S_Head of the change", "s_head"), ("S_Head of sBA", "s_head_product"))
COMPARABLE = 2.0  # a factor


def concentrated(method: str, end: str) -> Callable[[Study], Iterator[Finding]]:
    """More than half of the aligned energy at one end of the spectrum."""

    def ask(study: Study) -> Iterator[Finding]:
        chance = study.mean(method, "aligned_chance", PAPER)
        for matrix, name in (("sBA", "product"), ("the change", "update")):
            found = study.of(method, f"{name}_{end}", PAPER)
            yield above(matrix, found, 0.5, f"by chance {chance:.3g}, half is")

    return ask


def kept_similarity(study: Study) -> Iterator[Finding]:
    """A's similarity with the directions that it began in, the least of all measurements."""
    for method, end in (("rlpo", "top"), ("rlmo", "bottom")):
        middle = (1 + study.mean(method, "similarity_chance")) / 2
        found = study.of(method, f"similarity_{end}_least", TRAINING)
        yield above(f"{method}, {end}", found, middle, "midway from chance to 1 is")


def low_similarity(study: Study) -> Iterator[Finding]:
    """The greatest similarity of a start that knows nothing of W."""
    for method in ("dct", "wavelet"):
        if not study.variants(method):
            yield Finding(method, "was not trained in this study", "cannot be asked here")
            continue
        middle = (1 + study.mean(method, "similarity_chance")) / 2
        for end in ("top", "bottom"):
            found = study.of(method, f"similarity_{end}_most", TRAINING)
            yield below(f"{method}, {end}", found, middle, "midway from chance to 1 is")


def milora_s_start(study: Study) -> Iterator[Finding]:
    """How large the product is with which MiLoRA begins, beside what training then changes."""
    (variant,) = study.variants("milora")
    starts = [variant["scaling"] * start for start in study.values("milora", "start_norm")]
    ratios = [start / change for start, change in zip(starts, study.values("milora", "delta_norm"), strict=True)]
    yield above("s‖B₀A₀‖_F/‖ΔW‖_F", interval(ratios), 1.0, "equal is")


def tail_of_w(study: Study) -> Iterator[Finding]:
    """W is one matrix, whatever the seed."""
    base = study.base
    share = base["mlp_bottom_mean"] / base["mlp_top_mean"]
    shown = (
        f"{base['mlp_bottom_mean']:.3g} (least {base['mlp_least_bottom_mean']:.3g}) beside {base['mlp_top_mean']:.3g}"
    )
    yield Finding("MLP", shown, "appears" if share > 0.01 else "does not appear")


def larger_than(others: Sequence[tuple[str, str]], figure: str) -> Callable[[Study], Iterator[Finding]]:
    """Ratios of one figure of the journals, paired by seed."""

    def ask(study: Study) -> Iterator[Finding]:
        for method, other in others:
            found = study.ratio(method, other, figure, TRAINING)
            yield above(f"{method} / {other}", found, 1.0, "equal is")

    return ask


def no_larger_than(others: Sequence[tuple[str, str]], figure: str) -> Callable[[Study], Iterator[Finding]]:
    """The same for a claim of no more than a comparable figure."""

    def ask(study: Study) -> Iterator[Finding]:
        for method, other in others:
            found = study.ratio(method, other, figure, TRAINING)
            yield below(f"{method} / {other}", found, COMPARABLE, "comparable is up to")

    return ask


def large_values(study: Study) -> Iterator[Finding]:
    """W is one matrix, whatever the seed."""
    sigma = study.base["sigma_r"]
    yield Finding("σ_r", f"{sigma:.3g} on average", "appears" if sigma > 1 else "does not appear")


def scaled_by_large_values(study: Study) -> Iterator[Finding]:
    """Σ amplifies where σ_r > 1, which is the claim's own premise; what was measured is shown without it too."""
    findings = list(larger_than((("pissa", "olora"), ("milora", "olora_tail")), "kl_step")(study))
    sigma = study.base["sigma_r"]
    if sigma > 1:
        yield from findings
        return
    yield Finding("σ_r", f"{sigma:.3g} on average; the claim supposes σ_r ≫ 1", "cannot be asked here")
    for found in findings:
        yield Finding(found.of, f"{found.measured}; measured all the same", "cannot be asked here")


def full_is_off_principal(study: Study) -> Iterator[Finding]:
    """Full fine-tuning at each of its rates."""
    for variant in study.variants("full"):
        found, chance = (interval(variant[EVERY][name]["values"]) for name in ("s_head", "s_chance"))
        yield below(f"full, {variant['lr']:g}", found, chance.mean, "by chance")


def full_is_spread(study: Study) -> Iterator[Finding]:
    """Both ends within a factor of two of chance: one that is not denies it."""
    for variant in study.variants("full"):
        chance = interval(variant[EVERY]["s_chance"]["values"]).mean
        least, most = chance / COMPARABLE, chance * COMPARABLE
        ends = {end: interval(variant[EVERY][f"s_{end}"]["values"]) for end in ("head", "tail")}
        inside = all(least < found.low and found.high < most for found in ends.values())
        outside = any(found.high < least or found.low > most for found in ends.values())
        verdict: Verdict = "appears" if inside else "does not appear" if outside else "not decided"
        shown = ", ".join(f"{end} {found}" for end, found in ends.items())
        yield Finding(f"full, {variant['lr']:g}", f"{shown}; by chance {chance:.3g}", verdict)


def full_is_compressible(study: Study) -> Iterator[Finding]:
    """Stable rank of full fine-tuning's change below that of one without structure, of the smallest matrix.

    A matrix (m, n) of independent entries has about mn/(√m + √n)² (Bai and Yin), at least min(m, n)/4.
    """
    bound = study.base["narrowest"] / 4
    for variant in study.variants("full"):
        found = interval(variant[EVERY]["stable_rank"]["values"])
        yield below(f"full, {variant['lr']:g}", found, bound, "without structure at least")


def stays_in_the_tail(study: Study) -> Iterator[Finding]:
    """More of MiLoRA's change in the trailing directions than a change without preference has."""
    yield above("milora, S_Tail", study.of("milora", "s_tail"), study.mean("milora", "s_chance"), "by chance")


def ends_principal(method: str) -> Callable[[Study], Iterator[Finding]]:
    """More of the change in the leading than in the trailing directions."""

    def ask(study: Study) -> Iterator[Finding]:
        for of, head, tail, scope in (
            ("S_Head / S_Tail, all", "s_head", "s_tail", EVERY),
            ("aligned energy, q and o", "update_head", "update_tail", PAPER),
        ):
            yield above(of, study.ratio_within(method, head, tail, scope), 1.0, "equal is")

    return ask


def head_at_least(method: str, bound: float) -> Callable[[Study], Iterator[Finding]]:
    """S_Head against a published number, of the true change and of sBA: papers say ΔW of either."""

    def ask(study: Study) -> Iterator[Finding]:
        chance = study.mean(method, "s_chance")
        for matrix, figure in S_HEADS:
            yield above(f"{method}, {matrix}", study.of(method, figure), bound, f"by chance {chance:.3g}, asked is")

    return ask


def geora_avoids_the_head(study: Study) -> Iterator[Finding]:
    """Below what a change without preference has; the published number is below chance in no model this small."""
    for matrix, figure in S_HEADS:
        yield below(f"geora, {matrix}", study.of("geora", figure), study.mean("geora", "s_chance"), "by chance")


def smaller_shift(study: Study) -> Iterator[Finding]:
    """Absolute, and for its size: a change that is twice as large moves the spectrum about twice as far."""
    yield below("geora / pissa, NSS", study.ratio("geora", "pissa", "nss"), 1.0, "equal is")
    each = [
        [nss / size for nss, size in zip(study.values(name, "nss"), study.values(name, "relative"), strict=True)]
        for name in ("geora", "pissa")
    ]
    yield below("geora / pissa, NSS for its ‖ΔW‖/‖W‖", ratio(*each), 1.0, "equal is")


def shifted_more(study: Study) -> Iterator[Finding]:
    """A collapse has no definition; a spectrum that collapses is moved."""
    for method in ("pissa", "milora"):
        yield above(f"{method} / lora, NSS", study.ratio(method, "lora", "nss"), 1.0, "equal is")


def geora_in_its_place(study: Study) -> Iterator[Finding]:
    """Where GeoRA's start comes from: the masks, and the tail that they are said to be."""
    inside = study.ratio_within("geora", "masks_energy", "masks_random")
    yield above("geora, energy in the masks over random masks", inside, 1.0, "equal is")
    yield above("geora, S_Tail", study.of("geora", "s_tail"), study.mean("geora", "s_chance"), "by chance")


def masks_differ(study: Study) -> Iterator[Finding]:
    """Nearer to what independent masks share than to one mask twice."""
    rho = 0.2
    independent = rho / (2 - rho)
    jaccard, shared = study.base["jaccard"], study.base["intersection"]
    shown = f"Jaccard {jaccard:.3f}, {100 * shared:.2f}% of all entries; independent masks {independent:.3f}"
    yield Finding("masks of W", shown, "appears" if jaccard < (1 + independent) / 2 else "does not appear")


def premise(study: Study) -> Iterator[Finding]:
    """Energy of full fine-tuning's change inside the masks, over what random masks of that size hold."""
    for variant in study.variants("full"):
        inside, random = (variant[EVERY][name]["values"] for name in ("masks_energy", "masks_random"))
        found = interval([one / other for one, other in zip(inside, random, strict=True)])
        yield above(
            f"full, {variant['lr']:g}", found, 1.0, f"of {statistics.fmean(random):.3g} of the entries; equal is"
        )
