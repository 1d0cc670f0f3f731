"""A completion and a gold answer in, a grade out: 1, 0, or no score and why.

Open grade.py first; mathematics/, chosen/ and programs/ grade, batch.py grades many in processes that can be killed.
"""

from __future__ import annotations

from pathlib import Path

from .batch import CODE, GSM8K, MATH, BatchGrader, grade_all
from .choice import choice_texts, gold_letter, grade_choice
from .dapo import grade_dapo, grade_dapo_boxed, signed
from .exact import exact, exact_after_mark
from .extract import after_thinking
from .function import OwnReward, reward_function
from .grade import Grade, Grader, GraderFailure, UnreadableGold
from .gym import GYM, GYM_PARTIAL, RowFailure, described, gym_columns, is_gym, made_rows
from .gym import PREFIX as GYM_PREFIX
from .gym import version as gym_version
from .programs.cases import CASE_COLUMNS, TEST_COLUMNS
from .programs.code import why_unreadable
from .sandbox import find_sandbox

EXAMPLE = Path(__file__).parent / "example.py"  # a reward of one's own
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
    "CASE_COLUMNS",
    "EXAMPLE",
    "GRADERS",
    "GYM",
    "GYM_PARTIAL",
    "GYM_PREFIX",
    "TEST_COLUMNS",
    "BatchGrader",
    "Grade",
    "Grader",
    "GraderFailure",
    "OwnReward",
    "RowFailure",
    "UnreadableGold",
    "after_thinking",
    "choice_texts",
    "described",
    "exact",
    "exact_after_mark",
    "find_sandbox",
    "gold_letter",
    "grade_all",
    "gym_columns",
    "gym_version",
    "is_gym",
    "made_rows",
    "reward_function",
    "signed",
    "why_unreadable",
]
