"""reasoning-gym in a sandbox: a task's name and an index in, a row out; a completion and its row in, a grade out.

Open grade.py first; process.py keeps the sandboxed process, answer.py takes the answer out of a completion.
"""

from __future__ import annotations

from .ask import RowFailure, described, made_rows
from .grade import GYM, GYM_PARTIAL, gym_columns
from .package import PREFIX, is_gym, version

__all__ = [
    "GYM",
    "GYM_PARTIAL",
    "PREFIX",
    "RowFailure",
    "described",
    "gym_columns",
    "is_gym",
    "made_rows",
    "version",
]
