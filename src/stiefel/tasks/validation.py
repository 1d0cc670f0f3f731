"""The validation split: one in ten of a task's training questions, by which something is chosen before the test.

A question belongs to it by a digest of its text alone, so that the split is the same for every seed and every run, of
rows that are made as of rows that are read.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import xxhash

from ..errors import UserError
from .gym_rows import question_of
from .passes import passes
from .task import Messages, Row, Split, Task

SHARE = 10  # one question in so many
OF = "validation of "  # before the task's name
SEED = 2**32  # above every run's: no run trains in this order
FIRST, MOST = 100, 100  # rows drawn at once beside those that are wanted; rows drawn for each question at most


def is_validation(prompt: str | Messages) -> bool:
    """Whether a question is measured and not trained on, where a run has a validation split."""
    return xxhash.xxh3_64_intdigest(question_of(prompt).encode("utf-8", "surrogatepass")) % SHARE == 0


def without_validation(task: Task, seed: int) -> Task:
    """The task without the training rows of its validation split; `size` is what is left of them with this seed.

    Of a finite set the rest is gone through pass after pass. Cost: all rows of a finite set are read.
    """
    rest = rest_of_all(task) if task.size is not None else rest_of_stream(task)

    def rows(split: Split, count: int, seed: int) -> list[Row]:
        return task.rows(split, count, seed) if split == "test" else rest(count, seed)

    if task.size is None:
        return replace(task, rows=rows)
    return replace(task, rows=rows, size=len(all_but_validation(task, seed)))


def all_but_validation(task: Task, seed: int) -> list[Row]:
    """The rows of a finite set that are trained on; raises where there are none."""
    assert task.size is not None
    rest = [row for row in task.rows("train", task.size, seed) if not is_validation(row.prompt)]
    if not rest:
        raise nothing_left(task)
    return rest


def rest_of_all(task: Task) -> Callable[[int, int], list[Row]]:
    """(Count, seed) → training rows of a finite set."""
    left = cache(lambda seed: all_but_validation(task, seed))

    def rest(count: int, seed: int) -> list[Row]:
        order = passes(len(left(seed)), seed)
        return [left(seed)[next(order)] for _ in range(count)]

    return rest


def rest_of_stream(task: Task) -> Callable[[int, int], list[Row]]:
    """(Count, seed) → training rows of a task that never ends, drawn until there are enough."""

    def rest(count: int, seed: int) -> list[Row]:
        drawn = count + count // SHARE + FIRST
        while True:
            left = [row for row in task.rows("train", drawn, seed) if not is_validation(row.prompt)]
            if len(left) >= count:
                return left[:count]
            if not left:
                raise nothing_left(task)
            drawn *= 2

    return rest


def validation_task(task: Task, count: int) -> Task:
    """`count` different questions of the split as the test rows of a task of their own, always the same ones.

    Raises UserError, when they are first asked for, where the training rows hold fewer.
    """
    questions = cache(lambda: validation_rows(task, count))

    def rows(split: Split, number: int, seed: int) -> list[Row]:
        assert split == "test", "what is left to train on is made by `without_validation`"
        return questions()[:number]

    return replace(task, name=OF + task.name, rows=rows, size=None, origin=lambda split="test": task.origin("train"))


def validation_rows(task: Task, count: int) -> list[Row]:
    """The first `count` different questions of the split."""
    found: dict[str, Row] = {}
    drawn = task.size or SHARE * count + FIRST
    while True:
        for row in task.rows("train", drawn, SEED):
            if is_validation(row.prompt):
                found.setdefault(question_of(row.prompt), row)
        if len(found) >= count or task.size is not None or drawn > MOST * count + FIRST:
            break
        drawn *= 2
    if len(found) < count:
        raise UserError(
            f"eval.validation = {count}, and {task.name} has {len(found)} questions for it",
            f"one in {SHARE} of the questions that are trained on is kept for it: those among {drawn:,} rows",
            f"set eval.validation to {len(found)} or less" if found else "leave it out, or give more rows",
        )
    return list(found.values())[:count]


def is_validation_name(name: str) -> bool:
    """Whether a measured task is a validation split."""
    return name.startswith(OF)


def nothing_left(task: Task) -> UserError:
    """The error of a task all of whose questions are in the split."""
    return UserError(
        f"eval.validation leaves {task.name} nothing to train on",
        f"one in {SHARE} questions is kept for it, and there are no others",
        "leave it out, or give more rows",
    )
