"""Given completions → results, some hundred at a time, so that a file of any length fits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from ..rewards import BatchGrader, Grade, GraderFailure, grade_all
from .given import Given, GivenTask

LINES, PROGRAMS = 512, 32  # graded at once; a program may take seconds


@dataclass(frozen=True)
class Result:
    """A grade, or why there is none: the gold cannot be read, or the grader itself `failed`."""

    score: float | None
    extracted: str | None
    reason: str
    failed: bool = False

    def to_json(self) -> dict[str, float | str | None]:
        """The object that `grade --json` prints; a whole score as a whole number."""
        score = int(self.score) if self.score is not None and self.score.is_integer() else self.score
        return {"score": score, "extracted": self.extracted, "reason": self.reason}


def results(task: GivenTask, lines: Iterator[Given]) -> Iterator[list[Result]]:
    """The results of all lines, in order, in pieces."""
    by_row = isinstance(task.grader, BatchGrader) and task.grader.by_row
    while piece := list(islice(lines, PROGRAMS if by_row else LINES)):
        yield graded(task, piece)


def graded(task: GivenTask, piece: list[Given]) -> list[Result]:
    """The results of some lines."""
    readable = [line for line in piece if not line.trouble]
    failures: dict[int, str] = {}
    grades: list[Grade | None]
    try:
        grades = [
            *grade_all(
                task.grader,
                [line.completion for line in readable],
                [line.answer for line in readable],
                [line.columns for line in readable],
                [line.truncated for line in readable],
            )
        ]
    except GraderFailure as failure:
        grades, failures = failure.grades, dict(failure.failures)
    found = iter([result(grade, failures.get(place, "")) for place, grade in enumerate(grades)])
    return [Result(None, None, line.trouble) if line.trouble else next(found) for line in piece]


def result(grade: Grade | None, failure: str) -> Result:
    """One grade, or the last line of why the grader failed."""
    if grade is None:
        return Result(None, None, f"the grader failed: {(failure.strip().splitlines() or ['?'])[-1]}", failed=True)
    return Result(grade.score, grade.extracted, grade.reason)
