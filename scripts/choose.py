"""Regenerate what docs/choose.md quotes, from the kept results: `python -m scripts.choose`."""

from __future__ import annotations

from pathlib import Path
from statistics import fmean
from typing import Any

from scripts.readme import replace_block
from scripts.results import results

PAGE = Path(__file__).parents[1] / "docs" / "choose.md"
NOT_GRIDS = ("on_curves", "machine")


def named(values: dict[str, Any]) -> str:
    """`pissa` at 0.0003, or key = value of whatever else varies."""
    rest = dict(values)
    method, lr = rest.pop("adapter.method", None), rest.pop("optim.lr", None)
    said = f"`{method}` at {lr:g}" if method and lr else ""
    more = ", ".join(f"{key} {value}" for key, value in rest.items() if key != "optim.rollouts")
    return ", ".join(filter(None, (said, more)))


def grids(found: dict[str, Any]) -> str:
    """A line a grid."""
    head = ["grid", "share of its rollouts", "chosen", "new seeds", "the grid's best cell, its interval", "new seeds"]
    head += ["inside"]
    lines = [f"| {' | '.join(head)} |", "|---|---:|---|---:|---|---:|---|"]
    for one in (value for key, value in found.items() if key not in NOT_GRIDS):
        low, high = one["best_interval"]
        cells = [f"`{one['grid']}`", f"{one['share']:.1%}", named(one["winner"]), f"{fmean(one['winner_fresh']):.3f}"]
        cells += [f"{named(one['best'])}: {one['best_mean']:.3f} [{low:.3f}, {high:.3f}]"]
        cells += [f"{fmean(one['best_fresh']):.3f}", "yes" if one["inside"] else "no"]
        lines.append(f"| {' | '.join(cells)} |")
    seeds = len(next(value for key, value in found.items() if key not in NOT_GRIDS)["winner_fresh"])
    return "\n".join(lines) + (
        f"\n\nMean reward of the last quarter, {seeds} seeds that no grid has; *inside*: the chosen one's mean over "
        "them lies in the 95% interval of the best cell over the grid's seeds. The best of many cells is the luckiest "
        "too: hence its own mean over the new seeds beside it. `python -m benchmarks.choose --work DIR`."
    )


def on_curves(one: dict[str, Any]) -> str:
    """How often, over many grids."""
    inside, no_worse = (
        {who: f"{one[f'{kind}_{who}']:.0%}" for who in ("winner", "best_cell", "truth")}
        for kind in ("inside", "no_worse")
    )
    return (
        f"One choice is one draw. Of {one['choices']} choices on curves of real runs ({one['candidates']} candidates "
        f"with {one['seeds']} seeds in benchmarks/results/laboratory, all {one['distinct_grids']} grids of three seeds "
        f"in every order of these, {one['share']:.1%} of the rollouts), judged on the seeds that the grid had not, "
        f"by the interval of the grid's best cell over the grid's seeds:\n\n"
        f"| on the other seeds | inside the interval | inside or above |\n|---|---:|---:|\n"
        f"| the chosen one | {inside['winner']} | {no_worse['winner']} |\n"
        f"| the grid's own best cell | {inside['best_cell']} | {no_worse['best_cell']} |\n"
        f"| the candidate that is best over all seeds | {inside['truth']} | {no_worse['truth']} |\n\n"
        f"The chosen one has {one['lost']:.3f} of reward less than the last of these in the mean, and "
        f"{one['lost_most']:.3f} at most. Where finalists had several seeds, the winner's `probability` was "
        f"{one['said']:.2f} on average, and it was the better finalist in {one['right']:.2f} of the cases. Of "
        f"{one['other_schedules']} other schedules that the budget pays for, with more seeds earlier or first rungs "
        f"that are longer or shorter, {none_loses_less(one)}; the one that lies inside most often, the luckiest of so "
        f"many, does in {one['inside_of_the_best_schedule']:.0%}. `python -m benchmarks.choose_on_curves`."
    )


def none_loses_less(one: dict[str, Any]) -> str:
    """Whether another schedule would have lost less than ours."""
    least, ours = one["lost_by_the_best_schedule"], one["lost"]
    if least >= ours:
        return f"none loses less ({least:.3f}, ours {ours:.3f})"
    return f"the one that loses least loses {least:.3f} (ours {ours:.3f})"


def measured() -> str:
    """All of it."""
    found = results("choose")
    return f"{grids(found)}\n\n{on_curves(found['on_curves'])}\n"


def page() -> str:
    """docs/choose.md as it should be."""
    return replace_block(PAGE.read_text(encoding="utf-8"), "measured", measured())


def write() -> None:
    """docs/choose.md."""
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    write()
