"""The order in which a finite training set is gone through: pass after pass, each shuffled anew."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from itertools import count, islice

from .task import Row, Split, Task


def passes(size: int, seed: int) -> Iterator[int]:
    """Row numbers without end: every pass holds each of 0 … size − 1 once; the same seed gives the same order."""
    for number in count():
        order = list(range(size))
        random.Random(f"{seed}-{number}").shuffle(order)
        yield from order


def limited(task: Task, size: int) -> Task:
    """The task with only its first `size` training rows."""

    def rows(split: Split, count: int, seed: int) -> list[Row]:
        if split == "test":
            return task.rows(split, count, seed)
        first = task.rows(split, size, seed)
        return [first[number] for number in islice(passes(size, seed), count)]

    return replace(task, rows=rows, size=size)
