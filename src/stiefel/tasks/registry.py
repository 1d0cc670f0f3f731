"""Every task, in one tuple; and the one that a recipe trains on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
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
from .own import is_function, measured_own, own_task, reward_of
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
    prompt_column: str = "",
    answer_column: str = "",
    chat: bool = False,
    options: Mapping[str, Any] | None = None,
) -> Task:
    """The task of that name, one of ours or a reward by which the rows of `data` are graded; an unknown one raises.

    data: a local file of its columns, or another hub id, in place of its own hub id; revision: branch, tag or commit of
    a hub id; split: in place of the task's own. Rows are read when they are first asked for, but for those of a reward:
    they are checked now, and their columns may be named. options are for the tasks of reasoning-gym, as is chat.
    """
    if is_gym(name):
        if data or revision or split or prompt_column or answer_column:
            raise UserError(
                f"{name} takes no data",
                "reasoning-gym makes its rows",
                "leave out data, its columns, revision and split",
            )
        return gym_task(name, options or {}, chat=chat)
    if options:
        raise UserError(
            f"options are given for {name}",
            f"only tasks of reasoning-gym take them, {GYM_PREFIX}NAME",
            "leave them out",
        )
    named = bool(prompt_column or answer_column or chat)
    if is_function(name) or (name in GRADERS and (named or name not in names())):
        return rewarded(
            TaskSettings(
                name=name,
                data=data,
                heldout=data,
                revision=revision,
                prompt_column=prompt_column or TaskSettings().prompt_column,
                answer_column=answer_column or TaskSettings().answer_column,
                chat=chat,
                reward=name,
            ),
            split or "test",
        )
    if named:
        raise UserError(
            f"columns of one's own are named for {name}",
            "it has a prompt, columns and a grader of its own",
            f"leave them out, or name a grader in its place: {', '.join(GRADERS)}, or module:function",
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
    raise unknown(name, names())


def names() -> list[str]:
    """The names of all our tasks."""
    return [task.name for task in TASKS]


def unknown(name: str, known: Iterable[str]) -> UserError:
    """The error of a name that is no task's."""
    return UserError(f"unknown task {name!r}", "there is no such task", nearest(name, known))


def rewarded(settings: TaskSettings, split: str) -> Task:
    """Rows of one's own under the name of the reward that grades them."""
    if not settings.data:
        raise UserError(
            f"{settings.name} has no data of its own",
            "it is a grader for yours",
            f"give them: --data FILE, rows with the columns {settings.prompt_column}, {settings.answer_column}; in a "
            "recipe task.data, with task.name among eval.tasks",
        )
    return measured_own(settings, own_grader(settings), split)


def measured_task(name: str, settings: TaskSettings) -> Task:
    """A task that [eval] names: what the recipe trains on, by `task.name`, or any of ours.

    Of rows of one's own the held-out ones are measured, and of one of our tasks those of `task.heldout` where that is
    given; one of reasoning-gym has the options, and is shown, as [task] says. Raises UserError for an unknown name, and
    for held-out rows that would hide a task of ours.
    """
    if is_gym(name):
        heldout = settings.heldout if name == settings.name else ""
        return find_task(name, heldout, chat=settings.chat, options=options_of(name, settings))
    ours = {task.name for task in TASKS if not isinstance(task, Benchmark) or task.hub is not None}
    if name != settings.name:
        if name not in names():
            raise unknown(name, [*names(), settings.name] if settings.data else names())
        return find_task(name)
    if not settings.data or has_columns_of_its_task(settings):
        return find_task(name, settings.heldout)
    if name not in ours:
        return measured_own(settings, own_grader(settings))
    if settings.heldout:
        raise UserError(
            f"task.heldout is set for rows of your own with the name {name}",
            "that is the name of a task of ours, and the scores of one would be taken for those of the other",
            "give your rows a task.name of their own, and name it in eval.tasks",
        )
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
    reward = reward_of(settings)
    if reward in GRADERS:
        return GRADERS[reward]
    if reward:
        return reward_function(reward)
    raise UserError(
        f"task.data = {settings.data!r} without task.reward",
        "there is no rule by which completions are right or wrong",
        f"set task.reward to one of {', '.join(GRADERS)}, or to a function of yours, module:function",
    )
