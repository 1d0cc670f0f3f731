"""Figures of a table as text."""

from __future__ import annotations

from .table import Accuracy, Change, Figure

NONE, NOT_FINITE = "—", "not finite"


def mean(value: Figure, form: str) -> str:
    """The mean, or why there is none."""
    if value.mean is None:
        return NONE if value.finite else NOT_FINITE
    return f"{value.mean:{form}}"


def figure(value: Figure, form: str = ".3f") -> str:
    """Mean, or mean ± spread; the spread has no sign, and two digits where the mean's are significant ones."""
    if value.spread is None:
        return mean(value, form)
    return f"{mean(value, form)} ± {value.spread:{'.2g' if form.endswith('g') else form.lstrip('+')}}"


def over_seeds(value: Accuracy, form: str = ".3f") -> str:
    """Mean, or mean ± spread over seeds."""
    return figure(Figure(value.mean, value.spread), form)


def interval(value: Accuracy, form: str = ".3f") -> str:
    """[low, high]."""
    return f"[{value.low:{form}}, {value.high:{form}}]"


def change(task: Change) -> str:
    """Before → after; the base model knows no seeds, so it has no spread."""
    return f"{task.before.mean:.3f} → {over_seeds(task.after)}"


def bounds(low: float | None, high: float | None, form: str = ".3f") -> str:
    """` [low, high]`, or nothing."""
    return "" if low is None or high is None else f" [{low:{form}}, {high:{form}}]"
