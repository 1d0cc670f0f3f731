"""Intervals in rows: a name, a dot and how far it may be off; full where something is decided, hollow where not."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import altair as alt

from .marks import Mark
from .panels import ROW, Look, Panel, finished, pointing


@dataclass(frozen=True)
class RowMark(Mark):
    """A mark whose `x` is the name of its row, with what a pointer reads there."""

    full: bool = True
    said: str = ""

    def record(self) -> dict[str, Any]:
        """A row of a chart's data."""
        return {**super().record(), "full": self.full, "said": self.said}


@dataclass(frozen=True)
class Forest(Panel):
    """A row a mark, in the order given; dotted rules at `levels`, as at no difference."""

    title: str
    marks: tuple[RowMark, ...]
    axis_title: str
    levels: tuple[float, ...] = ()
    zero: bool = field(default=False, kw_only=True)
    what: str = field(default="value", kw_only=True)

    @property
    def named(self) -> bool:
        """The names stand beside the rows."""
        return True

    @property
    def lines(self) -> list[str]:
        """One a mark."""
        return [str(mark.x) for mark in self.marks]

    def chart(self, look: Look) -> alt.LayerChart:
        """A rule from end to end through a dot."""
        scale = alt.Scale(zero=self.zero, nice=True)
        axis = alt.Axis(tickCount=5, labelFlush=False, format="~r")
        x = alt.X("value:Q", title=self.axis_title, scale=scale, axis=axis)
        names = alt.Axis(grid=False, ticks=False, labelLimit=look.names)
        y = alt.Y("x:N", title=None, sort=self.lines, axis=names)
        base = alt.Chart(self.data).encode(y=y, color=look.colour())
        hover, opacity = pointing(look)
        layers = []
        for level in self.levels:
            rule = alt.Chart(alt.InlineData(values=[{"level": level}])).mark_rule(strokeDash=[2, 3], opacity=0.7)
            layers.append(rule.encode(x=alt.X("level:Q")))
        layers.append(base.mark_rule(strokeWidth=1.6).encode(x=alt.X("low:Q"), x2="high:Q", opacity=opacity(0.8)))
        size, width = (75, 1.8) if look.size is None else (26, 1.1)
        dots = base.encode(x=x, opacity=opacity(1))
        if any(mark.full for mark in self.marks):  # a layer without rows has no extent, and Vega warns of it
            layers.append(dots.mark_point(filled=True, size=size).transform_filter("datum.full"))
        if not all(mark.full for mark in self.marks):
            layers.append(dots.mark_point(filled=False, size=size, strokeWidth=width).transform_filter("!datum.full"))
        if hover is not None:
            tooltip = [
                alt.Tooltip("x:N", title="row", formatType="toString", format="s"),
                alt.Tooltip("value:Q", title=self.what, format=".4~g"),
                alt.Tooltip("low:Q", title="from", format=".4~g"),
                alt.Tooltip("high:Q", title="to", format=".4~g"),
                alt.Tooltip("said:N", title="over", formatType="toString", format="s"),
            ]
            found = base.mark_point(filled=True, size=size).encode(x=x, opacity=alt.value(0), tooltip=tooltip)
            layers.append(found.add_params(hover))
        return finished(layers, look, ROW * 1.7 * len(self.marks))
