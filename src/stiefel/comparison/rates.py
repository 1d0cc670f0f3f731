"""A grid that says how rates are found → each run with its own, which the comparison's directory keeps."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..artifacts import RATES, read_json, write_json
from ..errors import UserError
from ..recipe import Grid, Recipe

Found = dict[str, dict[str, Any]]  # by run: its lr, and what a first step costs there


def with_rates(grid: Grid, kept: Found, say: Callable[[str], None]) -> tuple[Grid, Found]:
    """The grid with the rate of every run, and what was found of each; what is kept is not measured again.

    Runs that differ in their seeds alone have one rate, which is measured with the first of these.
    """
    if not grid.matched:
        return grid, {}
    found = dict(kept)
    groups: dict[str, list[str]] = {}
    for name, recipe in grid.runs.items():
        groups.setdefault(but_for_the_seed(recipe), []).append(name)
    for names in groups.values():  # another seed of what is known already
        known = [name for name in names if name in found]
        found |= {name: found[known[0]] for name in names if known and name not in found}
    missing = {names[0]: grid.runs[names[0]] for names in groups.values() if names[0] not in found}
    if missing and found and grid.rate == "matched-step":
        reference = next(iter(grid.runs))
        missing = {reference: replace_rate(grid.runs[reference], found[reference]["lr"]), **missing}
    if missing:
        from ..foresight import matched_rates

        for name, rate in matched_rates(missing, grid.rate, say).items():
            if rate.why:
                say(f"warning: {name} has the rate {rate.lr:.3g}, which is the nearest: {rate.why}")
            for other in groups[but_for_the_seed(grid.runs[name])]:
                found[other] = rate.to_json()
    found = {name: found[name] for name in grid.runs}
    return rated(grid, found), found


def keep_rates(grid: Grid, out: Path, found: Found) -> None:
    """Write them, so that a comparison that goes on has the same."""
    if grid.matched:
        kept = {"rate": grid.rate, "budget": budget(grid, found), "reference": reference(grid), "runs": found}
        write_json(out / RATES, kept)


def budget(grid: Grid, found: Found) -> float | None:
    """What is equal: the KL of a first step, or its size ‖ΔW₁‖_F; None where the runs' caps differ."""
    first = reference(grid)
    if first is not None:
        return float(found[first]["step"])
    from ..foresight import budget_of

    budgets = {budget_of(recipe) for recipe in grid.runs.values()}
    return budgets.pop() if len(budgets) == 1 else None


def reference(grid: Grid) -> str | None:
    """The run whose first step the others' are as large as."""
    return next(iter(grid.runs)) if grid.rate == "matched-step" else None


def kept_rates(grid: Grid, out: Path) -> Found:
    """Those in `out`, if there are any; raises where they were found by another rule."""
    if not grid.matched or not (out / RATES).is_file():
        return {}
    kept = read_json(out / RATES)
    if kept.get("rate") != grid.rate or kept.get("reference") != reference(grid):
        raise UserError(
            f"the rates in {out} were found by rate = {kept.get('rate')!r}"
            + (f", as large as {kept['reference']}'s" if kept.get("reference") else ""),
            "runs whose rates come from two rules would not be comparable",
            "the same grid, or another --out",
        )
    found: Found = kept["runs"]
    return found


def rated(grid: Grid, found: Mapping[str, Mapping[str, Any]]) -> Grid:
    """The grid with these rates; a run of which none is known keeps its recipe's."""
    changed = {
        name: replace_rate(recipe, found[name]["lr"]) if name in found else recipe for name, recipe in grid.runs.items()
    }
    return replace(grid, runs=changed)


def replace_rate(recipe: Recipe, lr: float) -> Recipe:
    """The recipe at another rate."""
    return recipe.model_copy(update={"optim": recipe.optim.model_copy(update={"lr": lr})})


def but_for_the_seed(recipe: Recipe) -> str:
    """A name for all settings but the seed, and the rate, which is to be found."""
    return json.dumps(recipe.model_dump(exclude={"run": {"seed"}, "optim": {"lr"}}), sort_keys=True)
