"""Regenerate docs/laboratory.md and its figure from the kept results: `python -m scripts.laboratory`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.study.explained import KNOTS
from benchmarks.study.falling import ALARMS
from benchmarks.study.figures import LOST
from scripts.laboratory_figure import at_best_rates, beside, step_and_reward
from scripts.readme import replace_block
from scripts.results import RESULTS, apart, results
from scripts.which import at_best_rates as methods_at_best_rates
from scripts.which import listed
from stiefel.methods import METHODS

PAGE = Path(__file__).parents[1] / "docs" / "laboratory.md"
FIGURES = PAGE.parent / "figures"
FEW = 5  # falls, and runs that did not fall, without which nothing is judged
MODELS = {"nano": "nano", "smollm2": "SmolLM2"}
Found = dict[str, Any]


def orders(found: Found) -> str:
    """How the methods stand that every table has, at their own best rates and under the cap."""
    tables = {
        f"{name}, {what}": {method: one.get("best", one)["mean"] for method, one in found[model][key].items()}
        for model, name in MODELS.items()
        for key, what in (("methods", "best rates"), ("capped", "one cap"))
    }
    shared = set.intersection(*map(set, tables.values()))
    if not shared:
        return ""
    said = [
        f"{name}: {', '.join(f'`{method}`' for method in sorted(shared, key=lambda one: -rewards[one]))}"
        for name, rewards in tables.items()
    ]
    return f"\n\nThe {len(shared)} methods that every table has stand in these orders. {'; '.join(said)}."


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
    head = ["method", "reward at its rates (seeds, where fewer)", "at the best rate", "over `lora`"]
    head += ["held out, gained", "others, lost: mean, most", "KL to base"]
    ranked = sorted(found["methods"].items(), key=lambda item: -item[1]["best"]["mean"])
    rows = []
    for method, mine in ranked:
        at = "; ".join(
            f"{lr}:\N{NO-BREAK SPACE}{number(one['mean'])}{fewer(one, mine)}" for lr, one in mine["rates"].items()
        )
        end = " (at the end)" if mine["at_the_end"] else ""
        kl = "–" if not mine["kl_base"] else f"{mine['kl_base']['mean']:.2g}"
        best = half(mine["best"]) + seeds_of(mine, found) + end
        over = difference(found["at_best"][method].get("over_lora"))
        most = "" if mine["forgotten"] is None else f"{mine['forgotten']['mean']:.3f}, {mine['forgotten_most']:.3f}"
        rows.append([f"`{method}`", at, best, over, half(mine["gain"]), most or "–", kl])
    return lines(head, rows, 2)


def seeds_of(mine: Found, found: Found) -> str:
    """How many seeds a method has, where most have fewer."""
    least = min(one["best"]["seeds"] for one in found["methods"].values())
    return "" if mine["best"]["seeds"] == least else f" ({mine['best']['seeds']} seeds)"


def fewer(one: Found, mine: Found) -> str:
    """How many seeds a rate has, where others of the method have more: their means are not to be compared."""
    most = max(each["seeds"] for each in mine["rates"].values())
    return "" if one["seeds"] == most else f"\N{NO-BREAK SPACE}({one['seeds']})"


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
        [f"`{method}`", half(one), difference(one.get("over_lora")), lost(found["lost"][method])]
        for method, one in sorted(found["capped"].items(), key=lambda item: -item[1]["mean"])
    ]
    head = [f"{MODELS[model]}, a cap of 1e-3", "reward", "over `lora`"]
    return lines([*head, f"runs that lost {LOST:g} of one other skill; most of one"], rows)


def lost(one: Found) -> str:
    """How many runs lost a part of a skill that they did not train, and the most that one did."""
    return f"{one['lost']} of {one['runs']}; {one['most']:.2f}"


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
            one["asked"] + (f" ({one['beside']})" if one["beside"] else ""),
            difference(one["nano"]) + at_most(one, "nano"),
            difference(one["smollm2"]) + at_most(one, "smollm2"),
            f"*{one['verdict']}*",
        ]
        for one in found
    ]
    return lines(["source", "claim", "difference asked", "nano", "SmolLM2", "verdict"], rows, 6)


def at_most(claim: Found, model: str) -> str:
    """The bound by which a difference is smaller than would matter, where that decided."""
    most = claim[model]["most"]
    if claim["verdict"] != "not seen here" or claim["against"] or most is None:
        return ""
    return f"; at most {most:+.3f}"


def counted(found: list[Found]) -> str:
    """How many claims are seen, and how many comparisons were made."""
    asked = sum(one[model]["p"] is not None for one in found for model in MODELS)
    verdicts = [one["verdict"] for one in found]
    kinds = ("seen here", "not seen here", "not decidable here")
    said = ", ".join(f"{verdicts.count(kind)} *{kind}*" for kind in kinds)
    return (
        f"{len(found)} claims: {said}. Of those not seen {others(found)} come out the other way, and the rest are "
        f"smaller than would matter. {asked} comparisons have an interval; Holm's correction is for all of them."
    )


def others(found: list[Found]) -> int:
    """How many claims are decided the other way."""
    return sum(one["verdict"] == "not seen here" and one["against"] for one in found)


def explained(found: Found) -> str:
    """What a step explains."""
    ten = found["ten"]
    rows = [
        [f"{name} rollouts" if name != "one" else "the first rollout", *map("{:.0%}".format, shares(found[key]))]
        for key, name in (("one", "one"), ("ten", "the first ten"), ("all", "all"))
    ]
    table = lines(["step of", "the step explains", "the method", "both"], rows)
    near = ten["plateau"]
    return (
        f"{table}\n\nShares of the variance of the rewards of {ten['runs']} plain runs on nano, by least squares, "
        f"adjusted for the number of parameters; the step by a cubic spline of its logarithm with {KNOTS} knots. A "
        f"mean for each method and rate explains {ten['cells']:.0%}: the rest differs between seeds, their steps "
        "included. On methods that it was "
        f"not fitted on the curve of the first ten rollouts explains {ten['held_out']:.0%}. How much each share is "
        "depends on the rates that were run: these were set around the same first step for every method, so that its "
        "mean over them says little, and for most methods they reach from too small a step to far too large a one: "
        "much of what the step explains is that too large a one breaks a run. "
        f"{below_the_edge(ten['up_to'], ten['best']['to'])}Broken runs take large steps as a consequence, so that the "
        "last row overstates the cause, and the others where a run is breaking within its first "
        f"rollouts.\n\n{which_step(found)}\n\n**On the plateau the "
        f"methods differ, by little.** Of the {near['runs']} runs whose first ten rollouts had a step there, rewards "
        f"spread by {near['spread']:.3f} (standard deviation), of whose variance the step explains "
        f"{near['by_step']:.0%} and the method {near['by_method']:.0%} (what it adds to the step: F = "
        f"{near['f']:.1f}, p = {near['p']:.1g}, runs that share a seed taken as independent)."
    )


def below_the_edge(found: Found | None, edge: float) -> str:
    """The same without the runs whose steps are too large."""
    if found is None:
        return ""
    return (
        f"Of the {found['runs']} runs with steps up to {edge:.1e} alone the step explains {found['by_step']:.0%}, the "
        f"method {found['by_method']:.0%} and both {found['by_both']:.0%}. "
    )


def which_step(found: Found) -> str:
    """The step at which runs reach most."""
    ten, first = found["ten"]["best"], found["one"]["best"]
    own = found["ten"]["at_best_rates"]
    return (
        f"**Which step.** The curve of the first ten rollouts is highest, {ten['reward']:.3f}, where an update costs "
        f"{ten['step']:.1e} nats a token (95% {span(ten['interval'])}, by a bootstrap over methods), and within "
        f"{ten['within']:g} of that on a plateau from {ten['from']:.1e} (95% {span(ten['from_interval'])}) to "
        f"{ten['to']:.1e} ({span(ten['to_interval'])}). At their own best rates half of the methods have a step of "
        f"{span([own['0.25'], own['0.75']])}, all of {span([own['0'], own['1']])}. The curve of the first rollout, "
        "which is what `stiefel preflight` measures and whose update is larger than those that follow, is highest "
        f"at {first['step']:.1e} and has its plateau from {first['from']:.1e} to {first['to']:.1e}."
    )


def by_nanos_plateau(found: Found) -> str:
    """What SmolLM2's runs reach below, on and above nano's plateau."""
    words = {"below": "Below it", "within": "on it", "above": "above it"}
    said = [
        f"{words[name]} {'is' if one['runs'] == 1 else 'are'} {one['runs']} of {len(found['points'])} runs, of steps "
        f"from {span(one['step'])}, that reach {one['reward'][0]:.3f} to {one['reward'][1]:.3f}, {one['median']:.3f} "
        "in the median"
        for name, one in found["sides"].items()
    ]
    top, upper = found["top"], found["near"][1]
    steps, rewards = ([one[of] for one in top] for of in ("step", "reward"))
    best = (
        f"The {len(top)} best runs of all, {min(rewards):.3f} to {max(rewards):.3f}, have steps of "
        f"{span([min(steps), max(steps)])}"
    )
    beyond = ": nano's upper edge is not SmolLM2's, and what carries over is that a far larger step fails"
    return (
        f"The band is nano's plateau, {span(found['near'])} nats a token. {'; '.join(said)}. {best}"
        f"{beyond if min(steps) > upper else ''}. A rate that was run with three seeds counts three times here."
    )


def by_the_first_step(found: Found) -> str:
    """The same by what `stiefel preflight` measures, of each method's best run."""
    own = found["own"].values()
    above = sum(one["step"] > found["near"][1] for one in own)
    steps = sorted(one["step"] for one in own)
    return (
        f"By the first rollout alone, nearest to what `stiefel preflight` measures, nano's plateau is "
        f"{span(found['near'])}. The best run of each of the {len(steps)} methods had a first step of "
        f"{span([steps[0], steps[-1]])}, {above} of them above it: preflight's rate for 1e-3 is rather small here."
    )


def span(interval: Sequence[float]) -> str:
    """From here to there."""
    return f"{interval[0]:.1e} to {interval[1]:.1e}"


def shares(found: Found) -> tuple[float, float, float]:
    """R² by the step, by the method, by both."""
    return found["by_step"], found["by_method"], found["by_both"]


def differing(found: Found) -> str:
    """Whether the methods differ at all."""
    one = found["pooled"]
    if one["p"] is None:
        return "There are too few seeds to say whether they differ."
    decided = ", ".join(f"`{method}` by {mean:+.3f}" for method, mean in sorted(one["decided"].items(), key=by_mean))
    return (
        f"**They are not all alike**: Friedman's test over {one['methods']} methods and {one['seeds']} seeds has p = "
        f"{one['p']:.1g}. A pair of methods by itself needs a large difference to be told apart by {one['seeds']} "
        "seeds, since its own spread is all that is known of it. If the spread were the same for all, which the "
        f"intervals above make doubtful, {one['spread']:.3f} of a reward less its method's and its seed's mean, a "
        "difference to `lora` of "
        f"{one['least']:.3f} would be told from none ({one['free']} degrees of freedom, Holm's correction for "
        f"{one['methods'] - 1}). These are: {decided or 'none'}. The order of the methods by what they gained on "
        f"held-out questions is like that by reward: Kendall's τ {found['by_held_out']:.2f}."
        f"{by_further(found)}"
    )


def by_further(found: Found) -> str:
    """What the seeds say by themselves that were asked for after the others had been looked at."""
    methods = found["further"]
    if not methods:
        return ""
    all_seeds = apart(found["at_best"])
    over = {method: one["over_lora"] for method, one in methods.items() if method != "lora"}
    said = [f"`{method}` {difference(one)}" for method, one in sorted(over.items(), key=lambda item: -item[1]["mean"])]
    better, worse = (listed(list(one)) for one in apart(methods))
    count = max(one["seeds"] for one in methods.values())
    return (
        f"\n\n**A second look**: {count} seeds more of {len(methods)} methods at their best rates, asked for after "
        f"the others had been read, and by themselves: over `lora` {', '.join(said)} (Holm's correction for "
        f"{len(over)}). Better: {better}; worse: {worse}. By all seeds, corrected for every method of the table, "
        f"better: {listed(list(all_seeds[0]))}; worse: {listed(list(all_seeds[1]))}; the methods with fewer seeds "
        "have too few to show as much. That is at the best of three or four rates a factor of about "
        "three apart, where a method that learns in a narrower range of rates may have lost by the gaps; under one "
        f"cap, which leaves none, worse: {listed(list(apart(found['capped'])[1]))}, though the intervals there reach "
        "as "
        "far down, so that it is not shown that the gaps were the reason."
    )


def by_mean(item: tuple[str, float]) -> float:
    """What a method is better by."""
    return item[1]


def several_caps(found: Found) -> str:
    """Smaller and larger caps."""
    rows = [
        [
            f"`{one['method']}` at {one['lr']:g}",
            f"{one['kl_cap']:g}",
            half(one),
            difference(one["over_cap"]),
            f"{one['lost']:.2f}",
            f"{one['kl_base']:.2g}",
        ]
        for one in found["caps"]
    ]
    if not rows:
        return "No other cap was run yet."
    head = ["nano", "cap", "reward", "over a cap of 1e-3", "mean of the others, most lost by a run", "KL to base"]
    return lines(head, rows)


def stable(found: Found) -> str:
    """Kendall's tau."""
    one = found["stability"]
    if one["tau"] is None:
        return "There are too few seeds to halve."
    return (
        f"Of {one['methods']} methods, ordered by {one['halves'][0]} of {one['seeds']} seeds and by the other "
        f"{one['halves'][1]}, each side at the rates that are best on it: Kendall's τ is {one['tau']:.2f} in the "
        f"mean over every way to divide them, {one['lowest']:.2f} at the least. It may be read as "
        "upper and lower parts, not as ranks."
    )


def falling(found: Found, *, far: bool) -> str:
    """Whether a fall can be foreseen; `far` says whether there are runs at rates that are far too large."""
    up = found["other_runs"] - found["other_falls"]
    few = [name for name, count in (("falls", found["other_falls"]), ("runs that do not fall", up)) if count < FEW]
    parts = [
        f"{found['runs']} runs of {found['methods']} methods on nano were up after {found['first']} rollouts, "
        f"{found['falls']} of them fell later; on SmolLM2 {found['other_runs']} and {found['other_falls']}"
        f"{': too few ' + ' and '.join(few) + ' to judge by' if few else ''}. The rates are those of the tables above"
        f"{', and for some methods three and ten times the largest of them' if far else ''}."
    ]
    rows = []
    for kind, name in (("all", "all features"), ("step", "the step alone")):
        if kind not in found:
            continue
        mine = found[kind]
        low, high = mine["interval"]
        row = [name, "methods held out one by one", f"{mine['auc']:.2f} [{low:.2f}, {high:.2f}]"]
        rows.append([*row, *alarms(mine)])
        if "other" in mine:
            auc = None if few else mine["other"]["auc"]
            row = [name, "SmolLM2, fitted on nano", "–" if auc is None else f"{auc:.2f}"]
            rows.append([*row, *alarms(mine["other"], found["other_falls"], up)])
    head = ["by", "judged on", "AUC", *(f"falls found, false alarms, aimed at {share:.0%}" for share in ALARMS)]
    head += ["Brier score", "of always saying the share of falls"]
    parts.append(lines(head, rows, 2))
    parts.append(warning(found))
    if "all" in found:
        weights = sorted(found["all"]["weights"].items(), key=lambda item: -abs(item[1]))
        parts.append("The features hang together, so that a weight by itself says little:")
        parts.append(lines(["feature, standardised", "weight"], [[name, f"{one:+.2f}"] for name, one in weights]))
        bins = [[f"{one['said']:.2f}", f"{one['came']:.2f}", str(one["runs"])] for one in found["all"]["bins"]]
        parts.append("Calibration of all features, on methods held out:")
        parts.append(lines(["probability said, mean", "share that fell", "runs"], bins, 0))
    return "\n\n".join(parts)


def alarms(mine: Found, falls: int = FEW, up: int = FEW) -> list[str]:
    """What a warning would be worth; of fewer than FEW runs that fall, or that do not, no share is told."""
    rules = zip(mine["found"], mine["false_alarms"], strict=True)
    shares = [f"{share(found, falls)}, {share(vain, up)}" for found, vain in rules]
    return [*shares, f"{mine['brier']:.3f}", f"{mine['brier_of_the_share']:.3f}"]


def share(found: float | None, of: int) -> str:
    """In percent, unless it is one of too few."""
    return "–" if found is None or of < FEW else f"{found:.0%}"


def warning(found: Found) -> str:
    """Whether anything warns by it, which the figures on what was held out decide."""
    kinds = [found[kind]["other"] for kind in ("all", "step") if "other" in found.get(kind, {})]
    if found["other_runs"] - found["other_falls"] < FEW or not kinds:
        return "**Stiefel gives no warning by it**: there is no other model to judge it on."
    vain = " and ".join(f"{one['false_alarms'][0]:.0%}" for one in kinds)
    if min(one["false_alarms"][0] for one in kinds) <= 2 * ALARMS[0]:
        return f"Fitted on nano, {vain} of the runs on SmolLM2 that do not fall are warned in vain."
    return (
        f"**Stiefel gives no warning by it.** Fitted on nano, a warning that is aimed at {ALARMS[0]:.0%} of false "
        "alarms is in "
        f"vain for {vain} of the runs on SmolLM2 that do not fall (by all features, by the step alone): a step that "
        "breaks a run on nano is one that others live with there, and what was a probability of nano is none of "
        f"SmolLM2's. Under a cap of 1e-3 there fell {under_the_cap(found['under_the_cap'])}."
    )


def under_the_cap(found: Found) -> str:
    """How many runs fell under it."""
    return " and ".join(f"{one['fell']} of {one['runs']} runs on {MODELS[model]}" for model, one in found.items())


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
    where = f"Reckoned on {found['machine']['device']}, {found['machine']['cores']} cores."
    made = f"{'; '.join(rows)}. {bases_of(found['bases'])} {where}{warned}"
    return f"{made}\n\n{again}"


def bases_of(found: Found) -> str:
    """Which processor's warm base SmolLM2's runs began from, and what another one changes."""
    seeds = [
        f"`{base}` ({'seeds' if len(its) > 1 else 'seed'} {' and '.join(map(str, its))})"
        for base, its in found["seeds"].items()
    ]
    said = f"SmolLM2's runs are of the warm base {' and '.join(seeds)}"
    if found["other"]:
        runs = [
            f"{one['method']} at {one['lr']:g}{' under the cap' * bool(one['kl_cap'])} (seed {one['seed']})"
            for one in found["other"]
        ]
        said += (
            f", but for {', '.join(runs)}, which began from {' and '.join(f'`{base}`' for base in other_bases(found))}"
        )
    said += ": each kind of processor makes its own, and they differ by rounding."
    if twice := found["twice"]:
        apart = max(max(rewards) - min(rewards) for rewards in twice)
        said += f" Of {len(twice)} runs that were made from two of them the rewards differ by {apart:.3f} at most."
    return said


def other_bases(found: Found) -> list[str]:
    """The bases of the runs that began from another than the rest of their seed."""
    return sorted({one["base"] for one in found["other"]})


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
        "caps": several_caps(found["nano"]),
        "differing": differing(found["nano"]),
        "changed": changed(found["nano"]),
        "smollm2": methods(found["smollm2"]),
        "beside": f"{by_nanos_plateau(found['beside'])}\n\n{by_the_first_step(found['beside_one'])}",
        "claims": f"{counted(found['claims'])}\n\n{claims(found['claims'])}",
        "stable": stable(found["nano"]),
        "falling": falling(found["falling"], far=bool(found["rows"].get("nano_falls"))),
        "choose": f"{methods_at_best_rates()}." + orders(found),
        "rows": made_of(found),
    }.items():
        text = replace_block(text, name, content + "\n")
    return text


def write() -> None:
    """docs/laboratory.md and its figures."""
    kept = results("laboratory")
    (FIGURES / "step-and-reward.svg").write_text(step_and_reward(kept["explained"]["ten"]), encoding="utf-8")
    (FIGURES / "step-and-reward-smollm2.svg").write_text(beside(kept["beside"]), encoding="utf-8")
    (FIGURES / "best-rates.svg").write_text(at_best_rates(kept["nano"]["methods"]), encoding="utf-8")
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    write()
