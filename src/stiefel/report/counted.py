"""The x axes of charts that count rollouts, updates or layers: ticks are whole numbers, each once."""

from __future__ import annotations

import math
from collections.abc import Iterable

import altair as alt

FACTORS = (1, 2, 5)


def counted_axis(field: str, title: str, places: Iterable[float], at_most: int) -> alt.X:
    """A column of the data from its first to its last number; a single one stands in the middle.

    The ticks are given: Vega's own fall between two numbers where there are few, and are then rounded to one of them.
    """
    whole = sorted({round(place) for place in places})
    first, last = (whole[0], whole[-1]) if whole else (0, 1)
    domain = [first, last] if first < last else [first - 1, first + 1]
    axis = alt.Axis(values=ticks(first, last, at_most), grid=False, format="d", labelFlush=False, labelOverlap=True)
    return alt.X(f"{field}:Q", title=title, scale=alt.Scale(domain=domain, zero=False, nice=False), axis=axis)


def ticks(first: int, last: int, at_most: int) -> list[int]:
    """The multiples of 1, 2 or 5 times a power of ten between two numbers, in the smallest step that has few."""
    power = 1
    while True:
        for factor in FACTORS:
            step = factor * power
            found = range(math.ceil(first / step) * step, last + 1, step)
            if len(found) <= at_most:
                return list(found)
        power *= 10
