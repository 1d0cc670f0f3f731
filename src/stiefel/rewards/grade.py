"""What a grader returns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Grade:
    """The score of one completion, what was read from it, and why it scored so."""

    score: float  # 1 right, 0 wrong
    extracted: str | None
    reason: str


Grader = Callable[..., Grade]  # (completion, gold answer, **the row's other columns) → grade
