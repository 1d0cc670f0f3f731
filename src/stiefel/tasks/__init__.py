"""Every task, in one tuple; and the one that a recipe trains on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from ..errors import UserError, nearest
from ..rewards import GRADERS, Grader, exact, reward_function
from ..sections import TaskSettings
from .nano import nano_arithmetic, nano_reverse, nano_sort
from .own import own_task
from .passes import limited
from .task import Messages, Row, Sampling, Split, Task

TASKS: tuple[Task, ...] = (nano_arithmetic, nano_reverse, nano_sort)


def find_task(name: str) -> Task:
    """The task of that name; an unknown one raises with the nearest names."""
    for task in TASKS:
        if task.name == name:
            return task
    raise UserError(f"unknown task {name!r}", "there is no such task", nearest(name, [task.name for task in TASKS]))


def training_task(settings: TaskSettings, *, graded: bool = True) -> Task:
    """What a recipe's [task] trains on: a named task or data of one's own, graded by its own grader or by a reward.

    Supervised training grades nothing, so that data of one's own need no reward there.
    """
    if settings.data:
        return own_task(settings, own_grader(settings) if graded else exact)
    task = find_task(settings.name)
    if settings.reward:
        task = replace(task, grader=own_grader(settings), rows=with_prompts(task))
    if settings.train_rows:
        task = limited(task, min(settings.train_rows, task.size or settings.train_rows))
    return task


def with_prompts(task: Task) -> Callable[[Split, int, int], list[Row]]:
    """The task's rows, of which a function is given the prompt too, as it is of a user's own data."""

    def rows(split: Split, count: int, seed: int) -> list[Row]:
        return [replace(row, columns={"prompt": row.prompt, **row.columns}) for row in task.rows(split, count, seed)]

    return rows


def own_grader(settings: TaskSettings) -> Grader:
    """The grader that `task.reward` names: one of ours, or module:function."""
    if settings.reward in GRADERS:
        return GRADERS[settings.reward]
    if settings.reward:
        return reward_function(settings.reward)
    raise UserError(
        f"task.data = {settings.data!r} without task.reward",
        "there is no rule by which completions are right or wrong",
        f"set task.reward to one of {', '.join(GRADERS)}, or to a function of yours, module:function",
    )


__all__ = ["TASKS", "Messages", "Row", "Sampling", "Task", "find_task", "training_task"]
