"""A recipe and methods in; how large a first step would be, what KL it costs and which rate spends a budget out.

Open measure.py first; probe.py takes the step, rate.py finds the rate.
"""

from __future__ import annotations

from .check import chosen_methods
from .figures import MatrixStep, MethodSteps, Preflight
from .matched import Matched, budget_of, matched_rates
from .measure import KL_BUDGET, preflight
from .memory_line import memory_needed
from .rate import TOLERANCE, Spent, rate_for
from .table import print_preflight

__all__ = [
    "KL_BUDGET",
    "TOLERANCE",
    "Matched",
    "MatrixStep",
    "MethodSteps",
    "Preflight",
    "Spent",
    "budget_of",
    "chosen_methods",
    "matched_rates",
    "memory_needed",
    "preflight",
    "print_preflight",
    "rate_for",
]
