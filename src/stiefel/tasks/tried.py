"""A reward of the user's, called once before anything is sampled."""

from __future__ import annotations

from ..rewards import OwnReward
from .task import Row, Task


def tried(task: Task, row: Row) -> None:
    """Grade the row's own answer as if a model had written it, where the grader is a function of the user's.

    Raises UserError, with the place in the user's file, where the function raises or returns no finite number. Ours are
    not called: they are tested, and some start programs.
    """
    if isinstance(task.grader, OwnReward):
        task.grader(row.target or row.answer, row.answer, **row.columns)
