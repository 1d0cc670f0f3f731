"""[[task.mixture]]: tasks in place of one, and what the whole is called."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import UserError
from .sections import TaskSettings


def with_mixture(tables: Mapping[str, Any]) -> dict[str, Any]:
    """The tables, a mixture called by the names in it; raises UserError where a name is given beside it."""
    task = tables.get("task", {})
    entries = task.get("mixture") if isinstance(task, Mapping) else None
    if not isinstance(entries, list) or not entries or not all(isinstance(entry, Mapping) for entry in entries):
        return dict(tables)
    called = " + ".join(str(entry.get("name", "")).rpartition(":")[2] for entry in entries)
    if task.get("name", called) != called:
        raise UserError(
            f"task.name = {task['name']!r} is given beside task.mixture",
            "the tasks of a mixture take the place of the one that is named",
            "leave out task.name, or the mixture",
        )
    return {**tables, "task": {**task, "name": called}}


def check_mixture(settings: TaskSettings) -> None:
    """Raise for weights of which none can be drawn by."""
    if settings.mixture and not any(entry.weight for entry in settings.mixture):
        raise UserError(
            "every weight of task.mixture is 0",
            "no task could be drawn",
            "give at least one of them a weight above 0; it is 1 where it is left out",
        )
