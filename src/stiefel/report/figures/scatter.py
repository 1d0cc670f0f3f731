"""Two measures against each other: a dot a cell, full at a method's best rate, with its range; or a path."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import altair as alt

from ..charts import NAME
from ..curves import rounded
from ..vertical import Vertical
from .marks import Mark
from .panels import Look, Panel, finished, pointing


@dataclass(frozen=True)
class Spot(Mark):
    """A mark at (x, value), with the range of x from `left` to `right`; `place` orders a path, `said` names a dot."""

    left: float | None = None
    right: float | None = None
    full: bool = True
    place: float = 0.0
    said: str = ""

    def record(self) -> dict[str, Any]:
        """A row of a chart's data."""
        ends = {
            "left": None if self.left is None else rounded(self.left),
            "right": None if self.right is None else rounded(self.right),
        }
        return {**super().record(), **ends, "full": self.full, "place": self.place, "said": self.said}


@dataclass(frozen=True)
class Scatter(Panel):
    """Dots with their ranges, or with `path` lines through them in order."""

    title: str
    marks: tuple[Spot, ...]
    x_title: str
    y_title: str
    across: Vertical
    up: Vertical
    path: bool = field(default=False, kw_only=True)
    levels: tuple[float, float] | None = field(default=None, kw_only=True)  # dotted rules at this x and this y

    def chart(self, look: Look) -> alt.LayerChart:
        """Hollow dots beside full ones; a tooltip at the nearest."""
        below = self.across.axis.copy()
        below.labelOverlap, below.labelFlush = "greedy", False  # on a phone the lowest powers of ten are close together
        x = alt.X("x:Q", title=self.x_title, scale=self.across.scale, axis=below)
        y = alt.Y("value:Q", title=self.y_title, scale=self.up.scale, axis=self.up.axis)
        base = alt.Chart(self.data).encode(color=look.colour())
        hover, opacity = pointing(look)
        page = look.size is None
        layers = []
        if self.levels is not None:
            rule = alt.Chart(alt.InlineData(values=[{"x": self.levels[0], "y": self.levels[1]}]))
            rule = rule.mark_rule(strokeDash=[2, 3], opacity=0.7)
            layers += [rule.encode(x=alt.X("x:Q")), rule.encode(y=alt.Y("y:Q"))]
        if any(mark.low != mark.high for mark in self.marks):
            layers.append(base.mark_rule(strokeWidth=1.2).encode(x=x, y="low:Q", y2="high:Q", opacity=opacity(0.4)))
        if any(mark.left != mark.right for mark in self.marks):
            layers.append(base.mark_rule(strokeWidth=1.2).encode(y=y, x="left:Q", x2="right:Q", opacity=opacity(0.4)))
        if self.path:
            line = base.mark_line(strokeWidth=2.0 if page else 1.2, strokeJoin="round")
            layers.append(line.encode(x=x, y=y, order="place:Q", strokeDash=look.dashes(), opacity=opacity(0.8)))
        size = 80 if page else 26
        dots = base.encode(x=x, y=y, opacity=opacity(1))
        if any(mark.full for mark in self.marks):  # a layer without rows has no extent, and Vega warns of it
            layers.append(dots.mark_point(filled=True, size=size).transform_filter("datum.full"))
        if not all(mark.full for mark in self.marks):
            hollow = dots.mark_point(filled=False, size=size * 0.6, strokeWidth=1.4 if page else 0.9)
            layers.append(hollow.transform_filter("!datum.full"))
        if hover is not None:
            tooltip = [
                NAME,
                alt.Tooltip("said:N", title="at", formatType="toString", format="s"),
                alt.Tooltip("x:Q", title=self.x_title, format=".4~g"),
                alt.Tooltip("value:Q", title=self.y_title, format=".4~g"),
            ]
            found = base.mark_point(filled=True, size=size).encode(x=x, y=y, opacity=alt.value(0), tooltip=tooltip)
            layers.append(found.add_params(hover))
        return finished(layers, look, 240)
