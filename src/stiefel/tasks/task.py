"""What a task is: rows of (prompt, answer), and the grader that reads completions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from ..rewards import Grader

Split = Literal["train", "test"]


@dataclass(frozen=True)
class Row:
    """One question, with the gold answer as the grader wants it."""

    prompt: str
    answer: str


@dataclass(frozen=True)
class Task:
    """A named source of rows, and how completions are graded."""

    name: str
    description: str
    grader: Grader
    rows: Callable[[Split, int, int], list[Row]]  # (split, how many, seed) → rows; the test split ignores the seed
