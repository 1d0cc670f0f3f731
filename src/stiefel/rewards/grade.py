"""What a grader is, what it returns, and how it fails."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Grade:
    """The score of one completion, what was read from it, and why it scored so."""

    score: float | None  # 1 right, 0 wrong; None where the gold itself cannot be read
    extracted: str | None
    reason: str


# how the reason of a grade begins that tells as much of the machine's load as of the answer
OUT_OF_TIME = "out of time: "

Grader = Callable[..., Grade]  # (completion, gold answer, **the row's other columns) → grade


class GraderFailure(Exception):
    """A grader itself failed, on some of the completions: nothing is known of these, and none of them scored 0.

    `failures` says of which, by index, and why; `grades` holds the grades of the others, and None for these.
    """

    def __init__(self, failures: Sequence[tuple[int, str]], grades: Sequence[Grade | None]) -> None:
        index, reason = failures[0]
        count = f"{len(failures)} of {len(grades)} completions"
        super().__init__(f"the grader failed on {count}, first on number {index}: {reason}")
        self.failures, self.grades = list(failures), list(grades)

    def __reduce__(self) -> tuple[type[GraderFailure], tuple[list[tuple[int, str]], list[Grade | None]]]:
        return type(self), (self.failures, self.grades)


class UnreadableGold(Exception):
    """A gold answer that no completion could be compared with."""
