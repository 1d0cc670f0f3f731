"""The spectra of every start beside the papers' claims: `python -m scripts.spectra` writes docs/spectra.md."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from scripts.results import results
from scripts.spectral_claims import CLAIMS, Claim
from scripts.spectral_study import EVERY, PAPER, TRAINING, Finding, Study, Verdict, together

PAGE = Path(__file__).parents[1] / "docs" / "spectra.md"
HEAD = """# Which of the papers' spectral claims appear on the embedded model

<!-- written by `python -m scripts.spectra`; do not edit -->
Every start is trained on the embedded model over the same {seeds} seeds, {rollouts} rollouts of two updates each
({algorithm}, r = {rank}, alpha = {alpha}), and `stiefel.inspect` measures what training did to each of its matrices.
Each claim is put as a question with a rule, and the rule decides: *appears* or *does not appear* where the 95%
t-interval over seeds lies wholly on one side, *in part* where a claim's questions are decided and their answers differ,
*not decided* where an interval does not lie on one side, *cannot be asked here* where the claim's own premise fails on
this model; what was measured stands beside it all the same.

**The figures.** U, V and σ are W's, W⁺ is the trained W, k is the rank r. S_Head and S_Tail are the shares of ΔW in the
leading and the trailing k directions, the mean of left and right. NSS is ‖σ(W⁺) − σ(W)‖₂/‖σ(W)‖₂, how far the spectrum
moved. The stable rank is ‖ΔW‖_F²/σ₁(ΔW)². With c_i = u_iᵀΔWv_i, Σc² over some directions is the aligned energy in them.
All of them are defined in [geometry.md](geometry.md).

**What this can and cannot say.** One model of {parameters} parameters whose matrices have up to {widest} columns, one
task, {seeds} seeds, {updates} updates; the papers have models of 1.5B and more and hundreds of steps. An interval over
{seeds} seeds is wide, seeds share the base model, and of {claims} questions asked at 95% one or two are wrong by
accident. What does not appear here may well appear there, and the reverse. r is {share} of the narrowest width, so that
chance is far from zero: every figure stands beside what a change without preference would have. All changes are the
true ones, s(BA − B₀A₀), unless it says sBA. What of an answer follows from the method's form alone, whatever it
learned, is said beside the question. PiSSA and MiLoRA start with `sigma = "divided"`, GeoRA with `"undivided"`.

Full fine-tuning moves every entry by about the rate at each step of Adam, so that no rate of the adapters suits it. It
is run at two rates of its own; read its size and KL beside the adapters' before its place in the spectrum.
"""
TABLE = (  # heading → scope, figure, whether it is a share
    ("‖ΔW‖/‖W‖", EVERY, "relative", True),
    ("NSS", EVERY, "nss", True),
    ("S_Head", EVERY, "s_head", True),
    ("S_Head of sBA", EVERY, "s_head_product", True),
    ("left", EVERY, "s_head_left", True),
    ("right", EVERY, "s_head_right", True),
    ("joint", EVERY, "s_head_joint", True),
    ("S_Tail", EVERY, "s_tail", True),
    ("stable rank", EVERY, "stable_rank", False),
    ("effective rank", EVERY, "effective_rank", False),
    ("A in top", EVERY, "similarity_top", False),
    ("A in tail", EVERY, "similarity_bottom", False),
    ("in GeoRA's masks", EVERY, "masks_energy", True),
    ("changed in bf16", EVERY, "bf16_changed", True),
)
FIGURE_3 = (
    ("leading r, the change", PAPER, "update_head", True),
    ("trailing r, the change", PAPER, "update_tail", True),
    ("leading r, sBA", PAPER, "product_head", True),
    ("trailing r, sBA", PAPER, "product_tail", True),
    ("S_Head", PAPER, "s_head", True),
    ("S_Tail", PAPER, "s_tail", True),
)
RUNS = (
    ("reward, last 5", TRAINING, "reward_last_5", False),
    ("gradient norm", TRAINING, "grad_norm", False),
    ("its peak", TRAINING, "grad_norm_peak", False),
    ("KL of a rollout's updates", TRAINING, "kl_step", False),
    ("KL to base", TRAINING, "kl_base", False),
)
ORDER: tuple[Verdict, ...] = ("appears", "in part", "does not appear", "not decided", "cannot be asked here")


def page(kept: dict[str, Any]) -> str:
    """docs/spectra.md."""
    study = Study(kept)
    answers = [(claim, claim.findings(study)) for claim in CLAIMS]
    parts = [introduction(study), summary(answers), "## Every question\n", *(section(*answer) for answer in answers)]
    parts += [figures(study)]
    return "\n".join(parts)


def introduction(study: Study) -> str:
    """What was run, and what it cannot say."""
    recipe, variants = study.results["recipe"], study.results["variants"]
    left_out = study.results["unfinished"]
    text = HEAD.format(
        seeds=len(variants[0]["seeds"]),
        widest=study.base["widest"],
        claims=sum(len(claim.findings(study)) for claim in CLAIMS),
        share=f"1/{study.base['narrowest'] / recipe['rank']:.3g}",
        **{**recipe, "parameters": f"{recipe['parameters'] / 1e6:.1f}M"},
    )
    if left_out:
        text += f"\nNot finished, and left out: {', '.join(left_out)}.\n"
    return text


def summary(answers: Sequence[tuple[Claim, list[Finding]]]) -> str:
    """The claims under their verdicts."""
    lines = ["## In short\n"]
    for verdict in ORDER:
        claims = [answer for answer in answers if together(answer[1]) == verdict]
        if claims:
            lines.append(f"**{verdict[0].upper()}{verdict[1:]}** ({len(claims)} of {len(answers)}):\n")
            lines += [f"- {claim.says} ({claim.source}){parts(findings)}" for claim, findings in claims]
            lines.append("")
    return "\n".join(lines)


def parts(findings: Sequence[Finding]) -> str:
    """Of which questions a claim holds, where it does not of all of them."""
    if together(findings) != "in part":
        return ""
    yes, no = (", ".join(one.of for one in findings if one.verdict == said) for said in ("appears", "does not appear"))
    return f": yes of {yes}; no of {no}"


def section(claim: Claim, findings: Sequence[Finding]) -> str:
    """One claim with its numbers."""
    built_in = f" By construction: {claim.built_in}." if claim.built_in else ""
    lines = [
        f"**{claim.says}** ({claim.source}): *{together(findings)}*. Asked: {claim.rule}.{built_in}\n",
        "| of | measured, mean [95%] | |",
        "|---|---|---|",
        *(f"| {one.of} | {one.measured} | {one.verdict} |" for one in findings),
    ]
    return "\n".join(lines) + "\n"


def figures(study: Study) -> str:
    """The tables: mean ± standard deviation over seeds."""
    recipe, before = study.results["recipe"], study.results["before"]
    chance = study.results["variants"][0]
    s, aligned, masks = (
        chance[scope][name]["mean"]
        for scope, name in ((EVERY, "s_chance"), (PAPER, "aligned_chance"), (EVERY, "masks_random"))
    )
    tasks = [(f"{task}, before {score:.2f}", TRAINING, f"after {task}", False) for task, score in before.items()]
    return "\n".join(
        [
            "## The numbers behind them\n",
            "Mean ± standard deviation over seeds of the mean over all matrices; leading and trailing directions are "
            f"counted at r = {recipe['rank']}. By chance S_Head and S_Tail are {100 * s:.1f}%, and GeoRA's masks hold "
            f"{100 * masks:.1f}%.\n",
            table(study, TABLE),
            *repeated(study),
            "The same of the RLPO paper's Fig. 3, over query and output projections of the first, the middle and the "
            f"last layer: shares of Σ_i(u_iᵀΔWv_i)². By chance {100 * aligned:.1f}%.\n",
            table(study, FIGURE_3),
            f"The runs; scores of {recipe['questions']} questions a task.\n",
            table(study, (*RUNS, *tasks)),
            "Kept in `benchmarks/results/spectra.json`; made by `stiefel compare recipes/nano/geometry.toml "
            "--out runs/geometry` and `python -m benchmarks.spectra runs/geometry`.\n",
        ]
    )


def repeated(study: Study) -> list[str]:
    """Of which runs S_Head of sBA is, where they are not those of the other figures."""
    found = study.results.get("repeated")
    if found is None:
        return []
    pairs = [
        f"`{method}` {100 * again['mean']:.3g}% for {100 * study.mean(method, 's_head'):.3g}%"
        for method, again in found["s_head"].items()
    ]
    return [
        "S_Head of sBA is that of the change where B₀A₀ = 0. Of the other starts it was measured of the same runs "
        f"repeated apart ({found['machine']['device']}), whose S_Head of the change is "
        f"{', '.join(pairs)} above: `python -m benchmarks.heads`.\n"
    ]


def table(study: Study, columns: Sequence[tuple[str, str, str, bool]]) -> str:
    """A row a variant."""
    lines = [
        f"| method | rate | {' | '.join(heading for heading, *_ in columns)} |",
        f"|---|---|{'---:|' * len(columns)}",
    ]
    for variant in study.results["variants"]:
        cells = [cell(variant[scope].get(figure), share=share) for _, scope, figure, share in columns]
        lines.append(f"| `{variant['method']}` | {variant['lr']:g} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def cell(figure: dict[str, Any] | None, *, share: bool) -> str:
    """Mean ± spread, shares in per cent; nothing where there is no such figure."""
    if figure is None:
        return ""
    factor = 100 if share else 1
    spread = f" ± {factor * figure['spread']:.2g}" if figure["spread"] is not None else ""
    return f"{factor * figure['mean']:.3g}{spread}{'%' if share else ''}"


def write() -> None:
    """docs/spectra.md."""
    PAGE.write_text(page(results("spectra")))


if __name__ == "__main__":
    write()
