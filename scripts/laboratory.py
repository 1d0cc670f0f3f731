"""Regenerate docs/laboratory.md and its figure from the kept results: `python -m scripts.laboratory`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.study.falling import WARNED
from scripts.laboratory_figure import at_best_rates, step_and_reward
from scripts.numbers import RESULTS, results
from scripts.readme import replace_block
from scripts.which import at_best_rates as methods_at_best_rates
from stiefel.methods import METHODS

PAGE = Path(__file__).parents[1] / "docs" / "laboratory.md"
FIGURES = PAGE.parent / "figures"
FEW = 5  # falls, and runs that did not fall, without which nothing is judged
MODELS = {"nano": "nano", "smollm2": "SmolLM2"}
Found = dict[str, Any]


def number(value: float | None, sign: str = "") -> str:
    """Three decimals, or a dash."""
    return "–" if value is None else f"{value:{sign}.3f}"


def half(one: Found | None) -> str:
    """0.766 ± 0.022 over seeds, a value of one seed alone, or a dash."""
    if not one:
        return "–"
    if one["interval"] is None:
        return f"{one['mean']:.3f} (one seed)"
    return f"{one['mean']:.3f} ± {(one['interval'][1] - one['interval'][0]) / 2:.3f}"


def difference(one: Found | None) -> str:
    """+0.012 [−0.030, +0.054], or why there is none."""
    if not one or one["mean"] is None:
        return "–"
    if one["low"] is None:
        return f"{one['mean']:+.3f} (one seed)"
    return f"{one['mean']:+.3f} [{one['low']:+.3f}, {one['high']:+.3f}]"


def lines(head: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """A Markdown table whose first columns are words."""
    rule = "|" + "---|" * left + "---:|" * (len(head) - left)
    return "\n".join([f"| {' | '.join(head)} |", rule, *(f"| {' | '.join(row)} |" for row in rows)])


def methods(found: Found) -> str:
    """Every method of a model, the best first."""
    head = ["method", "reward at its rates", "at the best rate", "over `lora`"]
    head += ["held out, gained", "others, lost", "KL to base"]
    ranked = sorted(found["methods"].items(), key=lambda item: -item[1]["best"]["mean"])
    rows = []
    for method, mine in ranked:
        at = "; ".join(f"{lr}: {number(one['mean'])}" for lr, one in mine["rates"].items())
        end = " (at the end)" if mine["at_the_end"] else ""
        kl = "–" if not mine["kl_base"] else f"{mine['kl_base']['mean']:.2g}"
        best = half(mine["best"]) + end
        over = difference(found["at_best"][method].get("over_lora"))
        rows.append([f"`{method}`", at, best, over, half(mine["gain"]), half(mine["forgotten"]), kl])
    return lines(head, rows, 2)


def there(found: Found) -> str:
    """What is there, and of what was asked for what is missing."""
    said = []
    for model, name in MODELS.items():
        mine = found[model]["methods"]
        counts = {one["best"]["seeds"] for one in mine.values()}
        if counts:
            seeds = f"{min(counts)} to {max(counts)}" if len(counts) > 1 else str(max(counts))
            said.append(f"{len(mine)} methods on {name}, seeds a method: {seeds}")
    whole = len(found["nano"]["methods"]) == len(METHODS) and found["rows"]["nano_ablations"]
    return f"Done are {'; '.join(said)}." + ("" if whole else " **The rest is still being run.**")


def capped(found: Found, model: str) -> str:
    """The methods at an equal cap."""
    rows = [
        [f"`{method}`", half(one), difference(one.get("over_lora"))]
        for method, one in sorted(found["capped"].items(), key=lambda item: -item[1]["mean"])
    ]
    return lines([f"{MODELS[model]}, a cap of 1e-3", "reward", "over `lora`"], rows)


def changed(found: Found) -> str:
    """Everything that was changed by itself."""
    if not found["changed"]:
        return "No run of this part is done yet."
    rows = [
        [f"`{one['method']}` at {one['lr']:g}", f"`{one['changes']}`", half(one), difference(one["over_plain"])]
        for one in found["changed"]
    ]
    return lines(["method", "changed", "reward", "over the plain run"], rows, 2)


def claims(found: list[Found]) -> str:
    """Claim by claim."""
    rows = [
        [
            f"{one['source']}, {one['where']}",
            one["says"],
            one["asked"],
            difference(one["nano"]),
            difference(one["smollm2"]),
            f"*{one['verdict']}*",
        ]
        for one in found
    ]
    return lines(["source", "claim", "difference asked", "nano", "SmolLM2", "verdict"], rows, 6)


def counted(found: list[Found]) -> str:
    """How many claims are seen, and how many comparisons were made."""
    asked = sum(one[model]["p"] is not None for one in found for model in MODELS)
    verdicts = [one["verdict"] for one in found]
    kinds = ("seen here", "not seen here", "not decidable here")
    said = ", ".join(f"{verdicts.count(kind)} *{kind}*" for kind in kinds)
    return f"{len(found)} claims: {said}. {asked} comparisons have an interval; Holm's correction is for all of them."


def explained(found: Found) -> str:
    """What a step explains."""
    ten = found["ten"]
    above = {name: one for name, one in ten["above"].items() if one["interval"]}
    apart = [name for name, one in above.items() if one["interval"][0] > 0 or one["interval"][1] < 0]
    said = ", ".join(f"`{name}` by {above[name]['mean']:+.3f}" for name in apart)
    off = (
        f"methods whose own 95% interval lies off it, uncorrected for {len(above)} methods: {said}"
        if apart
        else NONE_OFF
    )
    rows = [
        [f"{name} rollouts" if name != "one" else "the first rollout", *map("{:.0%}".format, shares(found[key]))]
        for key, name in (("one", "one"), ("ten", "the first ten"), ("all", "all"))
    ]
    table = lines(["step of", "the step explains", "the method", "both"], rows)
    best, first = ten["best"], found["one"]["best"]
    return (
        f"{table}\n\n"
        f"Shares of the variance of {ten['runs']} plain runs' rewards on nano; the step by a smooth curve of its "
        f"logarithm. A run that is broken takes dear steps because it is, so that the last line says less of the cause "
        f"than the ones above it. By the first ten, whether methods differ at an equal step: F = {ten['f']:.2f}, "
        f"p = {ten['p']:.2g}; {off}.\n\n"
        f"**Which step.** By the first ten rollouts the curve is highest, {best['reward']:.3f}, where an update costs "
        f"{best['step']:.1e} nats a token (95% {span(best['interval'])}, by a bootstrap over methods), and "
        f"within {best['within']:g} of that from {best['from']:.1e} to {best['to']:.1e}. By the first rollout, "
        f"whose steps are dearer than those that follow and which is what `stiefel preflight` measures: "
        f"{first['step']:.1e}, and from {first['from']:.1e} to {first['to']:.1e}."
    )


NONE_OFF = "no method is off the curve by its own 95% interval"


def span(interval: Sequence[float]) -> str:
    """From here to there."""
    return f"{interval[0]:.1e} to {interval[1]:.1e}"


def shares(found: Found) -> tuple[float, float, float]:
    """R² by the step, by the method, by both."""
    return found["by_step"], found["by_method"], found["by_both"]


def stable(found: Found) -> str:
    """Kendall's tau."""
    one = found["stability"]
    if one["tau"] is None:
        return "There are too few seeds to halve."
    return (
        f"Of {one['methods']} methods at their best rates, ordered by each half of {one['seeds']} seeds and by the "
        f"rest: Kendall's τ is {one['tau']:.2f} in the mean over every way to halve them, from {one['lowest']:.2f} to "
        f"{one['highest']:.2f}."
    )


def falling(found: Found) -> str:
    """Whether a fall can be foreseen."""
    few = found["other_falls"] < FEW or found["other_runs"] - found["other_falls"] < FEW
    parts = [
        f"{found['runs']} runs of {found['methods']} methods on nano were up after {found['first']} rollouts, "
        f"{found['falls']} of them fell later; on SmolLM2 {found['other_runs']} and {found['other_falls']}"
        f"{', too few to judge by' if few else ''}."
    ]
    rows = []
    for kind, name in (("all", "all features"), ("step", "the step alone")):
        if kind not in found:
            continue
        mine = found[kind]
        low, high = mine["interval"]
        row = [name, "methods held out one by one", f"{mine['auc']:.2f} [{low:.2f}, {high:.2f}]"]
        rows.append([*row, *alarms(mine)])
        if "other" in mine and not few:
            auc = mine["other"]["auc"]
            rows.append([name, "SmolLM2, fitted on nano", "–" if auc is None else f"{auc:.2f}", *alarms(mine["other"])])
    head = ["by", "judged on", "AUC", f"warned at {WARNED:g}: falls found", "false alarms", "Brier score"]
    head.append("Brier score of saying the share of falls")
    parts.append(lines(head, rows, 2))
    if "all" in found:
        weights = sorted(found["all"]["weights"].items(), key=lambda item: -abs(item[1]))
        parts.append(lines(["feature, standardised", "weight"], [[name, f"{one:+.2f}"] for name, one in weights]))
        bins = [[f"{one['said']:.2f}", f"{one['came']:.2f}", str(one["runs"])] for one in found["all"]["bins"]]
        parts.append("Calibration of all features, on methods held out:")
        parts.append(lines(["probability said, mean", "share that fell", "runs"], bins, 0))
    return "\n\n".join(parts)


def alarms(mine: Found) -> list[str]:
    """What a warning would be worth."""
    share = ["–" if mine[key] is None else f"{mine[key]:.0%}" for key in ("found", "false_alarms")]
    return [*share, f"{mine['brier']:.3f}", f"{mine['brier_of_the_share']:.3f}"]


def made_of(found: Found) -> str:
    """Which rows, of which code."""
    rows = [
        f"`{name}.csv` {count} rows, of the code " + " and ".join(f"`{code}`" for code in found["codes"][name])
        for name, count in found["rows"].items()
        if count
    ]
    again = repeated(results("reruns")) if (RESULTS / "reruns.json").is_file() else "No row was repeated yet."
    more = any(len(codes) > 1 for codes in found["codes"].values())
    warned = " **Rows of more than one version of the code stand side by side.**" if more else ""
    made = f"{'; '.join(rows)}. {found['machine']['device']}, {found['machine']['cores']} cores.{warned}"
    return f"{made}\n\n{again}"


def repeated(found: Found) -> str:
    """Rows that were drawn at random and run again."""
    rows = found["rows"]
    head = ["row", "kept", "run again", "another seed would lie in"]
    cells = [
        [
            f"`{one['table']}.csv`: `{one['method']}` at {one['lr']:g}, seed {one['seed']}"
            + "".join(
                f", `{part}`" for part in (one["changes"], one["kl_cap"] and f"kl_cap={one['kl_cap']:g}") if part
            ),
            f"{one['committed']:.6f}",
            f"{one['rerun']:.6f}",
            f"[{one['interval'][0]:.3f}, {one['interval'][1]:.3f}]",
        ]
        for one in rows
    ]
    equal, within = sum(one["equal"] for one in rows), sum(one["within"] for one in rows)
    return (
        f"**Rows that were run again.** {len(rows)} rows drawn at random, by the code `{found['code']}`: {equal} have "
        f"the very reward that is kept, {within} lie where another seed would with 95% chance.\n\n"
        f"{lines(head, cells)}"
    )


def page() -> str:
    """docs/laboratory.md as it should be."""
    found = results("laboratory")
    text = PAGE.read_text(encoding="utf-8")
    for name, content in {
        "there": there(found),
        "explained": explained(found["explained"]),
        "nano": methods(found["nano"]),
        "capped": "\n\n".join(capped(found[model], model) for model in MODELS if found[model]["capped"]),
        "changed": changed(found["nano"]),
        "smollm2": methods(found["smollm2"]),
        "claims": f"{counted(found['claims'])}\n\n{claims(found['claims'])}",
        "stable": stable(found["nano"]),
        "falling": falling(found["falling"]),
        "choose": f"{methods_at_best_rates()}.",
        "rows": made_of(found),
    }.items():
        text = replace_block(text, name, content + "\n")
    return text


if __name__ == "__main__":
    kept = results("laboratory")
    (FIGURES / "step-and-reward.svg").write_text(step_and_reward(kept["explained"]["ten"]), encoding="utf-8")
    (FIGURES / "best-rates.svg").write_text(at_best_rates(kept["nano"]["methods"]), encoding="utf-8")
    PAGE.write_text(page(), encoding="utf-8")
