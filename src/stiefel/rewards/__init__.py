"""Text → Grade."""

from __future__ import annotations

from .batch import CODE, GSM8K, MATH, BatchGrader, grade_all
from .choice import grade_choice
from .dapo import grade_dapo, grade_dapo_boxed, signed
from .exact import exact, exact_after_mark
from .function import reward_function
from .grade import Grade, Grader, GraderFailure

GRADERS: dict[str, Grader] = {
    "math": MATH,
    "gsm8k": GSM8K,
    "dapo": grade_dapo,
    "dapo-boxed": grade_dapo_boxed,
    "choice": grade_choice,
    "code": CODE,
    "exact": exact,
}

__all__ = [
    "GRADERS",
    "BatchGrader",
    "Grade",
    "Grader",
    "GraderFailure",
    "exact",
    "exact_after_mark",
    "grade_all",
    "reward_function",
    "signed",
]
