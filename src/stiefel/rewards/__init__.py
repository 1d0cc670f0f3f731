"""Text → Grade."""

from __future__ import annotations

from .exact import exact_after_mark
from .grade import Grade, Grader

__all__ = ["Grade", "Grader", "exact_after_mark"]
