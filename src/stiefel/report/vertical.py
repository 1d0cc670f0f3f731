"""The y axes of charts: linear, logarithmic, or logarithmic with a place for 0."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import altair as alt

Kind = Literal["linear", "symlog", "log"]
MARGIN = 1.15  # of a logarithmic axis beyond its ends
LOWEST, HIGHEST = 1e-5, 1e-1  # between which a symlog axis becomes linear
POWERS = (
    "datum.value > 0 && (datum.value < 0.01 || datum.value >= 10000)"
    " ? format(datum.value, '~e') : format(datum.value, '~r')"
)


@dataclass(frozen=True)
class Vertical:
    """The y axis that several charts may share."""

    scale: alt.Scale
    axis: alt.Axis

    def y(self, field: str, title: str = "") -> alt.Y:
        """A column of the data on this axis."""
        return alt.Y(f"{field}:Q", title=title or None, scale=self.scale, axis=self.axis)


def vertical(kind: Kind, numbers: Iterable[float | None], lowest: float = LOWEST) -> Vertical:
    """The axis that holds some numbers and 0; a symlog one is linear below `linear_below`, so that 0 has a place.

    A logarithmic one holds the positive numbers alone.
    """
    found = [number for number in numbers if number is not None]
    low, high = span(found)
    if kind == "linear":
        return Vertical(alt.Scale(domain=[low, high], nice=True), alt.Axis(tickCount=5))
    if kind == "log":
        positive = [number for number in found if number > 0] or [1.0]
        ends = min(positive) / MARGIN, max(positive) * MARGIN
        ticks = logarithmic(*ends)
        return Vertical(alt.Scale(type="log", domain=list(ends)), alt.Axis(values=ticks, labelExpr=POWERS))
    floor = linear_below(found, lowest)
    ticks = decades(floor, high)
    return Vertical(
        alt.Scale(type="symlog", constant=floor, domain=[low, ticks[-1]]), alt.Axis(values=ticks, labelExpr=POWERS)
    )


def span(numbers: Iterable[float]) -> tuple[float, float]:
    """From 0 or below to the largest; (0, 1) where nothing was measured."""
    found = [0.0, *numbers]
    return (min(found), max(found)) if max(found) > min(found) else (0.0, 1.0)


def logarithmic(low: float, high: float) -> list[float]:
    """The powers of ten between two numbers, with their doubles and fivefolds where there are few."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    factors = (1,) if high / low > 1e3 else (1, 2, 5)
    return [tick for power in powers for factor in factors if low <= (tick := float(f"{factor}e{power}")) <= high]


def decades(floor: float, high: float) -> list[float]:
    """0 and the powers of ten from `floor` to the first that reaches `high`; every second one where there are many."""
    first, last = round(math.log10(floor)), math.ceil(math.log10(max(high, floor)))
    step = 1 if last - first < 7 else 2
    return [0.0, *(float(f"1e{power}") for power in range(first, last + step, step))]


def linear_below(numbers: Iterable[float], lowest: float = LOWEST, highest: float = HIGHEST) -> float:
    """The power of ten below which a symlog axis is linear: under the smallest positive value, within bounds."""
    smallest = min((number for number in numbers if number > 0), default=highest)
    return float(f"1e{math.floor(math.log10(min(max(smallest, lowest), highest)))}")
