"""Regenerate what docs/which-method.md rests on, from the kept results: `python -m scripts.which`."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from scripts.methods import FORGOT, failures, rows_of
from scripts.preflight import PAGE as PREFLIGHT
from scripts.readme import replace_block
from scripts.results import apart, results
from scripts.spectral_claims import CLAIMS
from scripts.spectral_study import Study, together
from stiefel.methods import METHODS

PAGE = Path(__file__).parents[1] / "docs" / "which-method.md"


def listed(names: list[str]) -> str:
    """`a`, `b` and `c`, or none."""
    if not names:
        return "none"
    quoted = [f"`{name}`" for name in names]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} and {quoted[-1]}"


def first_step() -> str:
    """How far rates of one KL lie apart, as docs/preflight.md has it."""
    text = PREFLIGHT.read_text()
    rates = {
        cells[1].strip(): float(cells[-3])
        for line in text.splitlines()
        if len(cells := line.split("|")) == 12 and re.fullmatch(r" [\d.e-]+ ", cells[-3])
    }
    (times,) = re.findall(r"They differ by (\d+)×", text)
    low, high = min(rates, key=rates.__getitem__), max(rates, key=rates.__getitem__)
    return (
        f"The rate at which a first step costs 1e-3 nats a token is {rates[low]:g} for `{low}`, {rates['lora']:g} for "
        f"`lora`, {rates[high]:g} for `{high}`: {times} times apart"
    )


def under_the_cap() -> tuple[str, str]:
    """What a cap keeps of the best reward, and in which order methods are at it."""
    found = results("step")
    shares = [mine["share_of_best"] for mine in found["methods"].values() if "share_of_best" in mine]
    low, high = min(found["nominal"]), max(found["nominal"])
    kept = (
        f"Under a cap of {found['cap']:g}, at rates from {low:g} to {high:g}, each of {len(shares)} methods keeps "
        f"{min(shares):.2f} or more of the reward that it has at its own best rate without a cap"
    )
    order = found["ranking"]
    seeds = max(one["seeds"] for one in order)
    over = f"means over {seeds} seeds" if seeds > 1 else "one seed each, so that this is no order"
    ranks = ", ".join(f"`{one['method']}` {one['reward']:.3f}" for one in order)
    return kept, f"At the same cap, over these rates: {ranks}; {over}"


def without_a_cap() -> str:
    """Which methods fail at a rate that is too large for them."""
    wrong = [{reason for row in rows_of("nano", method.name) for reason in failures(row)} for method in METHODS]
    below = sum(any("below the base" in reason for reason in reasons) for reasons in wrong)
    forgot = sum(any(reason.startswith("lost") for reason in reasons) for reasons in wrong)
    return (
        f"Without a cap {below} of the {len(METHODS)} methods have a run, at a rate that is too large, that ends "
        f"below the base on its own task; {forgot} have one that loses {FORGOT:g} of an old skill or more"
    )


def on_a_real_model() -> str:
    """Gains on SmolLM2, every seed."""
    said = []
    for method, found in results("smollm2").items():
        if isinstance(found, dict) and "runs" in found:
            gains = " and ".join(f"{run['after'] - run['before']:.3f}" for run in found["runs"])
            said.append(f"`{method}` at {found['rate']:g} gains {gains}")
    return f"On SmolLM2-135M, in another recipe than the study's, {', '.join(said)}; a number a seed, held out"


def of_the_step() -> str:
    """How much of the reward is the step's."""
    found = results("laboratory")
    ten = found["explained"]["ten"]
    near = ten["plateau"]
    return (
        f"Over {ten['runs']} runs of {len(found['nano']['methods'])} methods the size of the first steps explains "
        f"{ten['by_step']:.0%} of the reward's variance, much of it that too large a one breaks a run, which method it "
        f"is {ten['by_method']:.0%}; among the "
        f"{near['runs']} runs whose step was a good one the method explains {near['by_method']:.0%} of the variance "
        f"and the step {near['by_step']:.0%}, at a standard deviation of {near['spread']:.3f}"
    )


def best_step() -> str:
    """The step at which runs reach most, as preflight measures it and as a cap holds it."""
    found = results("laboratory")["explained"]
    one, ten = found["one"]["best"], found["ten"]["best"]
    return (
        f"On nano runs reach most where the very first update costs {one['step']:.1e} nats a token (nearly as much "
        f"from {one['from']:.1e} to {one['to']:.1e}): preflight's budget is 1e-3. By the median of ten rollouts "
        f"it is {ten['step']:.1e} an update ({ten['from']:.1e} to {ten['to']:.1e}): a cap of 1e-3 leaves each of two "
        "5e-4"
    )


def at_best_rates() -> str:
    """The methods whose reward at their own best rate is decided to differ from LoRA's."""
    methods, over, pooled = (results("laboratory")["nano"][key] for key in ("methods", "at_best", "pooled"))
    best = sorted(((one["best"]["mean"], name) for name, one in methods.items()), reverse=True)
    (high, first), (low, last) = best[0], best[-1]
    above = sum(mean > methods["lora"]["best"]["mean"] for mean, _ in best)
    better, worse = (listed(list(one)) for one in apart(over))
    above_all, below_all = ([name for name, mean in pooled["decided"].items() if sign * mean > 0] for sign in (1, -1))
    return (
        f"At their own best rates {len(best)} methods reach from {low:.3f} (`{last}`) to {high:.3f} (`{first}`), "
        f"`lora` {methods['lora']['best']['mean']:.3f}, with {above} above it. Corrected for {len(best) - 1} "
        f"comparisons, decidedly better than `lora`: {better}; worse: {worse}; if seeds spread alike "
        f"in all methods, which their intervals make doubtful, better: {listed(above_all)}; worse: {listed(below_all)}"
    )


def of_the_papers() -> str:
    """How many of the papers' spectral claims appear."""
    study = Study(results("spectra"))
    verdicts = Counter(together(claim.findings(study)) for claim in CLAIMS)
    return (
        f"Of {len(CLAIMS)} spectral claims of the papers {verdicts['appears']} appear on nano, {verdicts['in part']} "
        f"in part, {verdicts['does not appear']} do not, {verdicts['not decided']} are not decided, "
        f"{verdicts['cannot be asked here']} cannot be asked there; of three seeds"
    )


def table() -> str:
    """What was measured, and where that stands."""
    kept, order = under_the_cap()
    study = "[laboratory.md](laboratory.md), `python -m benchmarks.laboratory`"
    capped = "[step.md](step.md#what-was-measured), `python -m benchmarks.step`"
    rows = [
        (of_the_step(), study),
        (best_step(), study),
        (at_best_rates(), study),
        (first_step(), "[preflight.md](preflight.md), `python -m scripts.preflight`"),
        (kept, capped),
        (order, capped),
        (without_a_cap(), "[each method's page](methods.md), `python -m benchmarks.laboratory`"),
        (on_a_real_model(), "[real-model.md](real-model.md), `python -m benchmarks.smollm2`"),
        (of_the_papers(), "[spectra.md](spectra.md), `python -m benchmarks.spectra`"),
    ]
    return "| what was measured | where |\n|---|---|\n" + "".join(f"| {says} | {where} |\n" for says, where in rows)


def page() -> str:
    """docs/which-method.md as it should be."""
    return replace_block(PAGE.read_text(), "evidence", table())


def write() -> None:
    """docs/which-method.md."""
    PAGE.write_text(page())


if __name__ == "__main__":
    write()
