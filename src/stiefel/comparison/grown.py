"""A grid, and the runs that were begun of it before: which are its cells still, and which cannot stay."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..artifacts import GRID, RECIPE, RUNS, kinds_of
from ..errors import UserError
from ..recipe import Grid, Recipe, read_toml
from ..run import differences

FEW = 3  # runs, or keys of one, that a message names
ANEW = "give another --out; --force begins again in its place"
Difference = tuple[str, Any, Any]


def as_begun_in(grid: Grid, out: Path) -> Grid:
    """The grid with its cells under the names that their runs have in `out`; it may have grown since.

    A run is known by its recipe where an axis was added and cells are called otherwise. Raises for runs that were begun
    with other settings, and for those that are no cells any more: a report is of all runs that lie there.
    """
    if not {"comparison", "choice"} & set(kinds_of(out)) or not (out / GRID).is_file():
        raise UserError(f"{out} holds no comparison alone", "there is nothing to go on with", ANEW)
    recipes = [path for path in sorted((out / RUNS).glob(f"*/{RECIPE}")) if not path.parent.name.startswith(".")]
    begun = {path.parent.name: read_toml(path) for path in recipes}
    changed = {name: differences(recipe, begun[name]) for name, recipe in grid.runs.items() if name in begun}
    refuse_changed({name: others for name, others in changed.items() if others}, out)
    strangers = {name: tables for name, tables in begun.items() if name not in grid.runs}
    names = {}
    for name, recipe in grid.runs.items():
        known = [old for old, tables in strangers.items() if name not in begun and not differences(recipe, tables)]
        names[name] = known[0] if known else name
        strangers.pop(names[name], None)
    refuse_strangers(strangers, grid.runs, out)
    points = {names[name]: point for name, point in grid.points.items()}
    return replace(grid, runs={names[name]: recipe for name, recipe in grid.runs.items()}, points=points)


def refuse_changed(changed: Mapping[str, Sequence[Difference]], out: Path) -> None:
    """Raise for runs whose settings are others now."""
    if not changed:
        return
    said = few([f"{name} ({in_a_line(others)})" for name, others in changed.items()])
    raise UserError(
        f"{len(changed)} of the runs in {out} began with another recipe: {said}",
        "runs of two recipes would stand in one table as if they were of one",
        f"give the settings that they were begun with, or {ANEW}",
    )


def refuse_strangers(strangers: Mapping[str, Mapping[str, Any]], runs: Mapping[str, Recipe], out: Path) -> None:
    """Raise for runs that no cell of the grid has the recipe of, with what keeps them from the nearest one."""
    if not strangers:
        return
    why = "a report is of all runs that lie there: they would enter its table unasked"
    if runs:
        tables = next(iter(strangers.values()))
        nearest = min(runs, key=lambda name: len(differences(runs[name], tables)))
        others = in_a_line(differences(runs[nearest], tables)) or "the same recipe"
        why += f" ({next(iter(strangers))} is nearest to {nearest}: {others})"
    raise UserError(
        f"{out / RUNS} holds {len(strangers)} run{'s' * (len(strangers) > 1)} that this grid has not: "
        f"{few(list(strangers))}",
        why,
        f"put them back into the grid, or move them away from there, or {ANEW}",
    )


def in_a_line(others: Sequence[Difference]) -> str:
    """`optim.rollouts: 60 → 80`, of a few keys."""
    return few([f"{key}: {before!r} → {now!r}" for key, before, now in others], ", ")


def few(words: Sequence[str], between: str = "; ") -> str:
    """The first of them, and how many more there are."""
    more = [f"and {len(words) - FEW} more"] if len(words) > FEW else []
    return between.join([*words[:FEW], *more])
