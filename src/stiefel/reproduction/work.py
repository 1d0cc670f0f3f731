"""A name and a profile → what is to be run, and what was published of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ..errors import UserError, nearest
from ..recipe import (
    UNTRAINED,
    Grid,
    MeasureSettings,
    Recipe,
    is_grid,
    load_grid,
    load_recipe,
    profile_names,
    read_toml,
)
from .catalogue import Entry, find

PAPER = "paper"  # the profile whose numbers are the published ones
ONE = "run"  # what the run of a plain recipe is called


@dataclass(frozen=True)
class Work:
    """What one call does: the runs of a grid, or one run."""

    entry: Entry
    path: Path
    profile: str
    changes: tuple[str, ...]
    grid: Grid | None  # None for a plain recipe
    runs: dict[str, Recipe]

    @property
    def measure(self) -> MeasureSettings | None:
        """What else was published, and how it is measured."""
        return self.grid.measure if self.grid is not None else None

    @property
    def trains(self) -> bool:
        """False where starts alone are looked at."""
        return self.measure is None or self.measure.kind not in UNTRAINED

    @property
    def is_papers(self) -> bool:
        """Whether its numbers are measured as the published ones were, but for `changes`."""
        return self.profile == PAPER

    @cached_property
    def published(self) -> dict[str, Recipe]:
        """The runs of the paper's profile as it stands, whose [expected] holds what was published."""
        if self.is_papers and not self.changes:
            return self.runs
        return loaded(self.path, (), PAPER)[1]


def find_work(name: str, profile: str, changes: Sequence[str] = ()) -> Work:
    """The work of a name; raises UserError for an unknown name or profile, or a profile that is left open."""
    entry, path = find(name)
    known = profile_names(path, own=True)  # a protocol's would be no whole one of the table
    if not profile:
        raise UserError(
            f"{name} is given without a profile",
            f"it has {', '.join(known)}, and they are different work: minutes on a CPU, or the paper's own machine",
            f"add --profile {'nano' if 'nano' in known else known[0]}",
        )
    if profile not in known:
        raise UserError(f"{name} has no profile {profile!r}", f"it has {', '.join(known)}", nearest(profile, known))
    grid, runs = loaded(path, changes, profile)
    return Work(entry, path, profile, tuple(changes), grid, runs)


def loaded(path: Path, changes: Sequence[str], profile: str) -> tuple[Grid | None, dict[str, Recipe]]:
    """The grid and its runs, or the one run of a recipe."""
    if not is_grid(read_toml(path)):
        return None, {ONE: load_recipe(path, changes, profile)}
    grid = load_grid(path, changes, profile)
    return grid, grid.runs
