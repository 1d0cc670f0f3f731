"""A table of golds and answers, each graded: a test of a file is one table and the score of all that is in it."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest

from stiefel.rewards.mathematics.math import grade_math

BOXED = "So it is \\boxed{{{}}}."
AS_IT_IS = "{}"  # a whole completion


def scores(
    score: float, table: Iterable[tuple[str, str]], form: str = BOXED, grader: Callable[..., object] = grade_math
) -> Callable[[str, str], None]:
    """A test that every answer of the table, written in this form, scores so against its gold."""

    @pytest.mark.parametrize(("gold", "answer"), table)
    def test(gold: str, answer: str) -> None:
        grade = grader(form.format(answer), gold)
        assert grade.score == score, grade  # type: ignore[attr-defined]

    return test
