"""Every task, in one tuple."""

from __future__ import annotations

from ..errors import UserError, nearest
from .nano import nano_arithmetic, nano_reverse, nano_sort
from .task import Row, Task

TASKS: tuple[Task, ...] = (nano_arithmetic, nano_reverse, nano_sort)


def find_task(name: str) -> Task:
    """The task of that name; an unknown one raises with the nearest names."""
    for task in TASKS:
        if task.name == name:
            return task
    raise UserError(f"unknown task {name!r}", "there is no such task", nearest(name, [task.name for task in TASKS]))


__all__ = ["TASKS", "Row", "Task", "find_task"]
