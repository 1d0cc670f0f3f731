"""Text → Grade."""

from __future__ import annotations

from .exact import exact, exact_after_mark
from .function import reward_function
from .grade import Grade, Grader

__all__ = ["Grade", "Grader", "exact", "exact_after_mark", "reward_function"]
