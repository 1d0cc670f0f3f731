"""Before a run: how large its first step would be, what it would cost in KL, and which rate would spend a budget."""

from __future__ import annotations

from .figures import MatrixStep, MethodSteps, Preflight
from .measure import KL_BUDGET, preflight
from .rate import TOLERANCE, Spent, rate_for

__all__ = ["KL_BUDGET", "TOLERANCE", "MatrixStep", "MethodSteps", "Preflight", "Spent", "preflight", "rate_for"]
