"""How the runs of a grid stand, as somebody who waits for them wants to know."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ..artifacts import RUNS
from ..progress import DONE, FAILED, GOING, WAITING, RunState
from ..recipe import Recipe
from ..run import finished, status
from .cells import rollouts_done, rollouts_under_way
from .failed import Book
from .mirror import last_row


class Watch:
    """Looks at the runs of a comparison; those that have come to an end are not looked at again.

    Of those in `until` that is a rollout at which they halt.
    """

    def __init__(
        self, runs: Mapping[str, Recipe], out: Path, book: Book, until: Mapping[str, int] | None = None
    ) -> None:
        self.runs, self.out, self.book, self.until = runs, out, book, until or {}
        self.ended: dict[str, RunState] = {}

    def look(self, going: Mapping[str, int]) -> dict[str, RunState]:
        """The state of every run, of which these go on; a number is of rollouts that are not in `out` yet."""
        return {name: self.ended.get(name) or self.state(name, going) for name in self.runs}

    def state(self, name: str, going: Mapping[str, int]) -> RunState:
        """The state of one."""
        recipe, run = self.runs[name], self.out / RUNS / name
        total = self.until.get(name, recipe.optim.rollouts)
        if name in going:
            row = last_row(run)
            done = min(max(rollouts_under_way(recipe, int(row.get("step", 0))), going[name]), total)
            return RunState(GOING, done, total, row.get("reward"))
        if name in self.book.failed:
            return RunState(FAILED, min(rollouts_done(recipe, run), total), total, why=self.book.failed[name].what)
        halted = name in self.until and rollouts_done(recipe, run) >= total
        if not finished(run) and not halted:
            return RunState(WAITING, rollouts_done(recipe, run), total)
        word = DONE if halted or status(run) == "finished" else status(run)
        self.ended[name] = RunState(word, total, total, last_row(run).get("reward"))
        return self.ended[name]
