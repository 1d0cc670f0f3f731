"""The table's columns of scores: each task's avg@n, its pass@k, and what was published, side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from ..recipe import AVERAGE
from .numbers import NONE, change, figure, interval, over_seeds
from .table import TableRow, TaskFigures

Column = tuple[str, Callable[[TableRow], str]]


def task_columns(rows: Sequence[TableRow]) -> list[Column]:
    """Those of the trained task, of a mixture its tasks' too, then those of every other."""
    tasks = list(dict.fromkeys(row.task for row in rows))
    others = list(dict.fromkeys(name for row in rows for name in row.tasks if name != row.task))
    parts = {name for row in rows for name in row.trained}
    others.sort(key=lambda name: name not in parts)
    one = tasks[0] if len(tasks) == 1 else ""
    name = one or "trained task"
    columns: list[Column] = [(f"{name}, before → after [95%]", score), ("gain [95%]", gain)]
    columns += further(rows, name, trained, [one] if one else [])
    for other in others:
        columns.append((other if other in parts else f"kept: {other}", partial(kept, task=other)))
        columns += further(rows, other, partial(untrained, task=other), [other])
    return columns + published(rows, AVERAGE)


def further(
    rows: Sequence[TableRow], name: str, of: Callable[[TableRow], TaskFigures | None], tasks: Sequence[str]
) -> list[Column]:
    """A task's pass@k of all its samples, of every k that was published too, and what was published."""
    found = [figures for row in rows if (figures := of(row)) is not None]
    most = {max(figures.passes) for figures in found if figures.passes}
    asked = {row.published[task].metric for row in rows for task in tasks if task in row.published}
    ks = sorted(
        k for k in {k for figures in found for k in figures.passes}
        if max(most) > 1 and (k in most or f"pass@{k}" in asked)
    )  # fmt: skip
    columns: list[Column] = [(f"{name}: pass@{k}", partial(chance, of=of, k=k)) for k in ks]
    return columns + [column for task in tasks for column in published(rows, task)]


def published(rows: Sequence[TableRow], task: str) -> list[Column]:
    """What was published of a task that was measured here; of the average, ours too, which stands nowhere else."""
    found = [row.published[task] for row in rows if task in row.published]
    if not any(one.our_after is not None for one in found):
        return []
    if task == AVERAGE:
        return [("average", average), ("average, published", partial(beside, task=task))]
    return [(f"{task}: {found[0].metric}, published", partial(beside, task=task))]


def trained(row: TableRow) -> TaskFigures | None:
    """The trained task's figures."""
    return row.tasks.get(row.task)


def untrained(row: TableRow, task: str) -> TaskFigures | None:
    """Another task's figures, or those of one in a mixture."""
    return row.tasks.get(task) if task != row.task else None


def score(row: TableRow) -> str:
    """The trained task's accuracy."""
    figures = trained(row)
    return f"{change(figures)} {interval(figures.after)}" if figures else NONE


def gain(row: TableRow) -> str:
    """What it gained."""
    figures = trained(row)
    return f"{over_seeds(figures.gain, '+.3f')} {interval(figures.gain, '+.3f')}" if figures else NONE


def kept(row: TableRow, task: str) -> str:
    """The accuracy of a task that was not trained, or of one in a mixture."""
    figures = untrained(row, task)
    return change(figures) if figures else NONE


def chance(row: TableRow, of: Callable[[TableRow], TaskFigures | None], k: int) -> str:
    """A task's pass@k."""
    figures = of(row)
    return change(figures.passes[k]) if figures and k in figures.passes else NONE


def average(row: TableRow) -> str:
    """Ours over the tasks of which an average was published."""
    found = row.published.get(AVERAGE)
    if found is None or found.our_before is None or found.our_after is None:
        return NONE
    return f"{found.our_before:.3f} → {found.our_after:.3f}"


def beside(row: TableRow, task: str) -> str:
    """What was published of this method."""
    found = row.published.get(task)
    if found is None:
        return NONE
    return figure(found.after) if found.before is None else f"{figure(found.before)} → {figure(found.after)}"
