"""Golds that no completion could be graded by, found before anything is sampled."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import UserError
from ..rewards import GRADERS, why_unreadable
from ..tasks import Row, Task


def check_golds(task: Task, rows: Sequence[Row]) -> None:
    """Raise where every row's gold is unreadable: each reward would be null, and the run would learn nothing.

    Programs and choices are read here, where that costs little; it ends with the first row that can be graded.
    """
    first = ""
    for row in rows:
        reason = why_ungraded(task, row)
        if not reason:
            return
        first = first or reason
    if first:
        raise UserError(
            f"no row of {task.name} can be graded",
            f"there is no score in any of {len(rows)} rows drawn, of the first one because {first}",
            "give rows whose tests call the program and check what it gives"
            if task.grader is GRADERS["code"]
            else "give rows whose answer is one of their choices",
        )


def why_ungraded(task: Task, row: Row) -> str:
    """Why no completion could be graded by a row, "" where one can, or where that is not known yet."""
    if task.grader is GRADERS["code"]:
        return why_unreadable(row.columns)
    if task.grader is GRADERS["choice"]:
        grade = task.grader("", row.answer, **row.columns)
        return grade.reason if grade.score is None else ""
    return ""
