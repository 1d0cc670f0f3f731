"""Given completions → results, some hundred at a time, so that a file of any length fits."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from ..rewards import BatchGrader, Grade, GraderFailure, grade_all
from .given import Given, GivenTask

FRAME = '  File "'  # how a traceback's frames begin
COLOURED = re.compile(r"\x1b\[[\d;]*m")
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
    """One grade, or why the grader failed."""
    if grade is None:
        return Result(None, None, f"the grader failed: {meaning(failure)}", failed=True)
    return Result(grade.score, grade.extracted, grade.reason)


def meaning(failure: str) -> str:
    """The line of a traceback that says what was raised, with the first words of a message that begins with ornaments;
    of another text the last line that says anything.
    """
    lines = [line for line in COLOURED.sub("", failure).splitlines() if any(map(str.isalnum, line))]
    frames = [number for number, line in enumerate(lines) if line.startswith(FRAME)]
    if not frames:
        return lines[-1].strip() if lines else "?"
    raised = [line for line in lines[frames[-1] + 1 :] if line[0] != " "] or lines[-1:]
    said = raised[0].rstrip()
    below = lines[lines.index(raised[0]) + 1 :]
    return f"{said} {below[0].strip()}" if said.endswith(":") and below else said
