"""nano's three tasks; the test problems are the same for everyone, whatever the seed."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import islice

from ..nano import Problem, problems, worked
from ..rewards import exact_after_mark
from .task import Row, Split, Task


def nano_task(kind: str, description: str) -> Task:
    """The task of one kind of problem."""

    def rows(split: Split, count: int, seed: int) -> list[Row]:
        stream = distinct(problems(kind, split, 0)) if split == "test" else problems(kind, split, seed)
        return [Row(problem.prompt, problem.answer, target(kind, problem)) for problem in islice(stream, count)]

    return Task(f"nano-{kind}", description, exact_after_mark, rows)


def target(kind: str, problem: Problem) -> str:
    """What a perfect nano writes: a sum with its steps, none of them wrong, anything else at once."""
    if kind == "arithmetic":
        return worked(problem.prompt, random.Random(0), slip=0.0)
    return f">{problem.answer}"


def distinct(stream: Iterator[Problem]) -> Iterator[Problem]:
    """A stream without repetitions: a test that asks a question twice has fewer questions than it says."""
    seen: set[Problem] = set()
    for problem in stream:
        if problem not in seen:
            seen.add(problem)
            yield problem


nano_arithmetic = nano_task("arithmetic", "chains of one to three additions and subtractions; the skill that RL trains")
nano_reverse = nano_task("reverse", "four to six letters written backwards; measures forgetting")
nano_sort = nano_task("sort", "four to six letters in alphabetical order; measures forgetting")
