"""Every task, in one tuple; and the one that a recipe trains on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from ..errors import UserError, nearest
from ..recipe import TaskSettings
from ..rewards import GRADERS, GYM_PREFIX, Grader, exact, is_gym, reward_function
from .benchmark import Benchmark
from .choice import medqa, mmlu, own_choice
from .classification import cola, mrpc
from .code import humaneval, humaneval_chat, mbpp, own_code
from .competitions import (
    aime22,
    aime22_boxed,
    aime23,
    aime23_boxed,
    aime24,
    aime24_boxed,
    aime25,
    aime25_boxed,
    amc23,
    hmmt25,
    olymmath,
)
from .gym import gym_task, gym_training_task, is_gym_training, options_of, refuse_gym_keys
from .instructions import ifeval
from .math import gsm8k, math500, math500_boxed, minerva, own_math, svamp
from .nano import nano_arithmetic, nano_reverse, nano_sort
from .own import own_task
from .passes import limited
from .reader import as_task
from .task import Row, Split, Task
from .training_sets import dapo_math_17k, dapo_math_17k_boxed, deepmath_103k

TASKS: tuple[Task | Benchmark, ...] = (
    *(nano_arithmetic, nano_reverse, nano_sort),
    *(gsm8k, svamp, math500, math500_boxed, minerva),
    *(aime22, aime22_boxed, aime23, aime23_boxed, aime24, aime24_boxed, aime25, aime25_boxed),
    *(amc23, hmmt25, olymmath),
    *(dapo_math_17k, dapo_math_17k_boxed, deepmath_103k),
    *(mbpp, humaneval, humaneval_chat),
    *(medqa, mmlu, cola, mrpc, ifeval),
    *(own_math, own_code, own_choice),
)
BENCHMARKS = tuple(task for task in TASKS if isinstance(task, Benchmark))
MADE_HERE = tuple(task for task in TASKS if isinstance(task, Task))


def find_task(
    name: str,
    data: str = "",
    revision: str = "",
    split: str = "",
    *,
    options: Mapping[str, Any] | None = None,
    chat: bool = False,
) -> Task:
    """The task of that name; an unknown one raises with the nearest names.

    data: a local file of its columns, or another hub id, in place of its own hub id; revision: branch, tag or commit of
    a hub id; split: in place of the task's own; options and chat are for the tasks of reasoning-gym. Rows are read
    when they are first asked for.
    """
    if is_gym(name):
        if data or revision or split:
            raise UserError(
                f"{name} takes no data", "reasoning-gym makes its rows", "leave out data, revision and split"
            )
        return gym_task(name, options or {}, chat=chat)
    if options or chat:
        raise UserError(
            f"{'options are' if options else 'chat is'} given for {name}",
            f"only tasks of reasoning-gym take them, {GYM_PREFIX}NAME",
            "leave them out",
        )
    for task in TASKS:
        if task.name != name:
            continue
        if isinstance(task, Benchmark):
            return as_task(task, data, revision, split)
        if data or revision or split:
            raise UserError(
                f"{name} takes no data", "its questions are made here", "leave out data, revision and split"
            )
        return task
    raise UserError(
        f"unknown task {name!r}",
        "there is no such task",
        nearest(name, [task.name for task in TASKS]),
    )


def measured_task(name: str, settings: TaskSettings) -> Task:
    """A task that [eval] names; one of reasoning-gym with the options, and shown as, [task] says."""
    if is_gym(name):
        return gym_task(name, options_of(name, settings), chat=settings.chat)
    return find_task(name)


def check_task(settings: TaskSettings) -> None:
    """Raise for an unknown task, or for settings of [task] that it does not read."""
    refuse_gym_keys(settings)
    if is_gym_training(settings):
        gym_training_task(settings)
    elif not settings.data:
        find_task(settings.name)


def training_task(settings: TaskSettings, *, graded: bool = True) -> Task:
    """What a recipe's [task] trains on: a named task or data of one's own, graded by its own grader or by a reward.

    Supervised training grades nothing, so that data of one's own need no reward there.
    """
    refuse_gym_keys(settings)
    if settings.data and not has_columns_of_its_task(settings):
        return own_task(settings, own_grader(settings) if graded else exact)
    benchmark = next((benchmark for benchmark in BENCHMARKS if benchmark.name == settings.name), None)
    if is_gym_training(settings):
        task = gym_training_task(settings)
    else:
        task = (
            find_task(settings.name, revision=settings.revision) if benchmark is None else trained(benchmark, settings)
        )
    if settings.reward:
        task = replace(task, grader=own_grader(settings), rows=with_prompts(task))
    if settings.train_rows and benchmark is None:
        task = limited(task, min(settings.train_rows, task.size or settings.train_rows))
    return task


def trained(benchmark: Benchmark, settings: TaskSettings) -> Task:
    """A benchmark's training rows, counted; those of a file are all checked now, those of a hub when they are drawn."""
    split = "" if settings.split == TaskSettings().split else settings.split
    task = as_task(benchmark, settings.data, settings.revision, split, settings.train_rows)
    origin = task.origin("train")
    size = min(origin["rows"], settings.train_rows or origin["rows"])
    if origin["source"] == "file":
        task.rows("train", size, 0)
    return replace(task, size=size)


def has_columns_of_its_task(settings: TaskSettings) -> bool:
    """Whether `data` is that of the benchmark named: it is, unless the recipe names columns of its own."""
    usual = TaskSettings()
    columns = (settings.prompt_column, settings.answer_column) == (usual.prompt_column, usual.answer_column)
    return columns and any(task.name == settings.name and task.hub is not None for task in BENCHMARKS)


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
