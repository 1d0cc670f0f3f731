"""Runs' numbers → marks: at each place the mean over seeds, with their range."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from ..curves import Point, rounded
from ..series import Series, ordered

Place = float | str


class Numbered(Protocol):
    """What an axis must hold."""

    @property
    def value(self) -> float | None: ...  # noqa: D102
    @property
    def low(self) -> float | None: ...  # noqa: D102
    @property
    def high(self) -> float | None: ...  # noqa: D102


@dataclass(frozen=True)
class Mark:
    """One value of one series; `value` is None where a seed's value is not finite, which leaves a gap in a line."""

    series: Series
    x: Place
    value: float | None
    low: float | None
    high: float | None
    seeds: int

    def record(self) -> dict[str, Any]:
        """A row of a chart's data."""
        return {
            "series": self.series.label,
            "x": rounded(self.x) if isinstance(self.x, float) else self.x,
            "value": self.value,
            "low": self.low,
            "high": self.high,
            "seeds": self.seeds,
        }


def over_seeds(curves: Iterable[tuple[Series, Mapping[Place, float]]]) -> list[Mark]:
    """One curve a run, place → value; then one mark a series and place, in the series' order."""
    every = list(curves)
    found = []
    for series in ordered(one for one, _ in every):
        mine = [curve for one, curve in every if one == series]
        for x in dict.fromkeys(place for curve in mine for place in curve):
            found.append(mark(series, x, [curve[x] for curve in mine if x in curve]))
    return found


def mark(series: Series, x: Place, values: Sequence[float]) -> Mark:
    """The mean of the seeds' values, and their range."""
    if not all(math.isfinite(value) for value in values):
        return Mark(series, x, None, None, None, len(values))
    low, high = rounded(min(values)), rounded(max(values))
    return Mark(series, x, rounded(statistics.fmean(values)), low, high, len(values))


def from_points(points: Iterable[Point]) -> list[Mark]:
    """The points of a training curve."""
    return [Mark(one.series, one.rollout, one.value, one.low, one.high, one.seeds) for one in points]


def with_deviations(curves: Iterable[tuple[Series, Mapping[Place, float]]]) -> list[Mark]:
    """As `over_seeds`, with one sample standard deviation to either side in place of the range."""
    every = list(curves)
    found = []
    for one in over_seeds(every):
        values = [curve[one.x] for series, curve in every if series == one.series and one.x in curve]
        deviation = statistics.stdev(values) if len(values) > 1 and one.value is not None else 0.0
        if one.value is None:
            found.append(one)
        else:
            found.append(replace(one, low=rounded(one.value - deviation), high=rounded(one.value + deviation)))
    return found


def numbers(groups: Iterable[Iterable[Numbered]]) -> list[float]:
    """Everything that panels on one scale draw."""
    return [
        number for group in groups for one in group for number in (one.value, one.low, one.high) if number is not None
    ]
