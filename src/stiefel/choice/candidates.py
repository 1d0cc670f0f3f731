"""A grid → its candidates: the cells that differ in nothing but their seed are one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import UserError
from ..recipe import Grid, Recipe, run_name

SEED = "run.seed"


@dataclass(frozen=True)
class Candidate:
    """What could be chosen: the values of the grid's axes but the seed, and its runs, one a seed, in their order."""

    name: str
    values: dict[str, Any]
    runs: dict[str, Recipe]

    @property
    def first(self) -> str:
        """The run by which it is compared with the others until few are left."""
        return next(iter(self.runs))

    @property
    def rollouts(self) -> int:
        """The length of one of its runs."""
        return self.runs[self.first].optim.rollouts

    def seed_of(self, run: str) -> int:
        """The seed of one of its runs."""
        return self.runs[run].run.seed

    def by(self, place: int, longest: int) -> int:
        """The rollouts of one of its runs where the longest of the grid has done `place`: the same share, rounded up.

        They differ where a grid varies `optim.rollouts`; each is then looked at after the same part of its schedule.
        """
        return -(-place * self.rollouts // longest)


def candidates_of(grid: Grid) -> list[Candidate]:
    """The candidates, in the order of the grid; raises UserError where there is one, or no reward to go by."""
    if grid.rate:
        raise UserError(
            f'rate = "{grid.rate}" in a grid to choose from',
            "choosing looks at the rates that the grid lists, by the rewards while they train",
            'an axis of them, "optim.lr" = [1e-4, 1e-3], in place of rate; or stiefel compare',
        )
    found: dict[str, Candidate] = {}
    for name, recipe in grid.runs.items():
        if recipe.algorithm.name == "sft":
            raise UserError(
                f'{name} has algorithm.name = "sft"',
                "supervised training has no reward, by which candidates are compared while they train",
                "stiefel compare, which trains every cell to its end and evaluates it",
            )
        values = {key: value for key, value in grid.points[name].items() if key != SEED}
        candidate = found.setdefault(json.dumps(values), Candidate(run_name(values), values, {}))
        candidate.runs[name] = recipe
    if len(found) < 2:
        raise UserError(
            "the grid has one candidate",
            "its cells differ in nothing but run.seed, so that there is nothing to choose",
            'another axis, "optim.lr" = [1e-4, 1e-3], or stiefel compare, which runs every seed',
        )
    return list(found.values())


def longest_of(candidates: Sequence[Candidate]) -> int:
    """The rollouts of the longest run of a grid."""
    return max(candidate.rollouts for candidate in candidates)


def all_rollouts(candidates: Sequence[Candidate]) -> int:
    """The rollouts of every cell of a grid together."""
    return sum(recipe.optim.rollouts for candidate in candidates for recipe in candidate.runs.values())
