"""A grid that says how rates are found → each run with its own, which the comparison's directory keeps."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..artifacts import RATES, read_json, write_json
from ..errors import UserError
from ..recipe import Grid, Recipe

Found = dict[str, dict[str, Any]]  # by `key`: the lr, and what a first step costs there and how large it is


def with_rates(grid: Grid, kept: Found, say: Callable[[str], None]) -> tuple[Grid, Found]:
    """The grid with the rate of every run, and what was found; what is kept is not measured again.

    Runs that differ in their seeds alone have one rate, which is measured with the first of these.
    """
    if not grid.matched:
        return grid, {}
    firsts: dict[str, str] = {}
    for name, recipe in grid.runs.items():
        firsts.setdefault(key(recipe), name)
    found = {known: kept[known] for known in firsts if known in kept}
    missing = {name: grid.runs[name] for known, name in firsts.items() if known not in found}
    if missing and found and (first := reference(grid)) is not None:
        missing = {first: rated(grid, found).runs[first], **missing}
    if missing:
        from ..foresight import matched_rates

        for name, rate in matched_rates(missing, grid.rate, say).items():
            if rate.why:
                say(f"warning: {name} has the rate {rate.lr:.3g}, which is the nearest: {rate.why}")
            found[key(grid.runs[name])] = rate.to_json()
    return rated(grid, found), found


def keep_rates(grid: Grid, out: Path, found: Found) -> None:
    """Write them, so that a comparison that goes on has the same."""
    if grid.matched:
        runs = {name: {**found[key(recipe)], "key": key(recipe)} for name, recipe in grid.runs.items()}
        kept = {"rate": grid.rate, "budget": budget(grid, found), "reference": reference(grid), "runs": runs}
        write_json(out / RATES, kept)


def budget(grid: Grid, found: Found) -> float | None:
    """What is equal: the KL of a first step, or its size ‖ΔW₁‖_F; None where the runs' caps differ."""
    first = reference(grid)
    if first is not None:
        return float(found[key(grid.runs[first])]["step"])
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
    runs, first, now = kept.get("runs", {}), kept.get("reference"), reference(grid)
    if kept.get("rate") != grid.rate or (first and now and runs[first]["key"] != key(grid.runs[now])):
        raise UserError(
            f"the rates in {out} were found by rate = {kept.get('rate')!r}"
            + (f", as large as {first}'s" if first else ""),
            "runs whose rates come from two rules would not be comparable",
            "the same grid, or another --out",
        )
    return {found["key"]: {name: value for name, value in found.items() if name != "key"} for found in runs.values()}


def rated(grid: Grid, found: Mapping[str, Mapping[str, Any]]) -> Grid:
    """The grid with these rates; a run of which none is known keeps its recipe's."""
    changed = {
        name: replace_rate(recipe, found[key(recipe)]["lr"]) if key(recipe) in found else recipe
        for name, recipe in grid.runs.items()
    }
    return replace(grid, runs=changed)


def replace_rate(recipe: Recipe, lr: float) -> Recipe:
    """The recipe at another rate."""
    return recipe.model_copy(update={"optim": recipe.optim.model_copy(update={"lr": lr})})


def key(recipe: Recipe) -> str:
    """A name for all settings but the seed, and the rate, which is to be found or chosen; whatever a run is called."""
    settings = recipe.model_dump(exclude={"run": {"seed"}, "optim": {"lr"}})
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]
