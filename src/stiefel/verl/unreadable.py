"""Golds that no completion could be graded by, left out before verl draws a prompt: it has no reward that is none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from ..rewards import GRADERS, BatchGrader, OwnReward, grade_all, why_unreadable
from ..tasks import Row, Split, Task


def readable(task: Task, say: Callable[[str], None]) -> Task:
    """The task without the training rows whose gold cannot be read, which are counted and the first of them named."""

    def rows(split: Split, count: int, seed: int) -> list[Row]:
        found = task.rows(split, count, seed)
        if split == "test":
            return found
        reasons = troubles(task, found)
        if lost := [(row, reason) for row, reason in zip(found, reasons, strict=True) if reason]:
            row, reason = lost[0]
            say(f"{len(lost)} of {len(found)} rows are left out: {str(row.answer)[:100]!r} cannot be read: {reason}")
        return [row for row, reason in zip(found, reasons, strict=True) if not reason]

    return replace(task, rows=rows)


def troubles(task: Task, rows: Sequence[Row]) -> list[str]:
    """Of each row why its gold cannot be read, "" where it can."""
    if task.grader is GRADERS["code"]:
        return [why_unreadable(row.columns) for row in rows]
    if isinstance(task.grader, OwnReward) or (isinstance(task.grader, BatchGrader) and task.grader.by_row):
        return [""] * len(rows)  # a user's function says so itself, and the golds of reasoning-gym are made
    grades = grade_all(task.grader, [""] * len(rows), [row.answer for row in rows], [row.columns for row in rows])
    return [grade.reason if grade.score is None else "" for grade in grades]
