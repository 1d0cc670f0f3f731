"""Marks → Vega-Lite: lines over something that is counted or shared out, and dots beside names."""

from __future__ import annotations

import zlib
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import altair as alt

from ..charts import CHOSEN, NAME, singled_out
from ..counted import counted_axis
from ..series import Series, Style, ordered
from ..vertical import Vertical
from .marks import Mark, Place

MANY = 5  # series from which on bands must be paler, or they hide each other
SPARSE = 12  # places up to which a line's measurements are marked by dots
ROW = 15  # height of a name in a panel of dots, in points


@dataclass(frozen=True)
class Across:
    """The x axis of lines: what it counts, or the share of W's directions that has gone by."""

    title: str
    kind: Literal["count", "share", "names", "rates"] = "count"
    names: tuple[str, ...] = ()  # in their order
    values: tuple[float, ...] = ()  # of rates, on a logarithmic axis

    def x(self, places: Iterable[Place] = ()) -> alt.X:
        """The field `x` on this axis; `places` are what a count counts."""
        match self.kind:
            case "count":
                return counted_axis("x", self.title, (place for place in places if not isinstance(place, str)), 5)
            case "share":
                axis = alt.Axis(values=[0, 0.25, 0.5, 0.75, 1], grid=False, format="~%", labelFlush=False)
                return alt.X("x:Q", title=self.title, scale=alt.Scale(domain=[0, 1]), axis=axis)
            case "rates":
                rates = alt.Axis(values=list(self.values), format="~e", grid=False, labelFlush=False, labelOverlap=True)
                # of all rates, whichever of them a panel has
                scale = alt.Scale(type="log", nice=False, padding=12, domain=[min(self.values), max(self.values)])
                return alt.X("x:Q", title=self.title, scale=scale, axis=rates)
            case "names":
                axis = alt.Axis(grid=False, labelAngle=0, labelLimit=0)
                return alt.X("x:N", title=self.title, sort=list(self.names), axis=axis, scale=alt.Scale(padding=0.6))


@dataclass(frozen=True)
class Look:
    """How a panel is drawn: every line's style, and for paper its size, on a page what a pointer does."""

    styles: Mapping[Series, Style]
    size: tuple[float, float] | None = None  # points; None for a page
    legend: alt.Legend | None = None  # a page has one of its own
    names: float = 150.0  # room for the names of a panel of dots; longer ones are cut, and whole in the tooltip

    @property
    def width(self) -> Any:
        """Of the panel inside its axes."""
        return self.size[0] if self.size else "container"

    def height(self, page: float) -> float:
        """The same; `page` on a page."""
        return self.size[1] if self.size else page

    def colour(self) -> alt.Color:
        """The fixed colour of each series."""
        scale = alt.Scale(
            domain=[one.label for one in self.styles], range=[style.colour for style in self.styles.values()]
        )
        return alt.Color("series:N", scale=scale, legend=self.legend, title=None)

    def dashes(self) -> alt.StrokeDash:
        """The fixed dashes of each series."""
        patterns = [list(style.dash) or [1, 0] for style in self.styles.values()]
        scale = alt.Scale(domain=[one.label for one in self.styles], range=patterns)
        return alt.StrokeDash("series:N", scale=scale, legend=self.legend, title=None)


class Panel(ABC):
    """One small chart."""

    title: str
    marks: tuple[Mark, ...]

    @property
    def series(self) -> list[Series]:
        """What is drawn, in order."""
        return ordered(mark.series for mark in self.marks)

    @property
    def named(self) -> bool:
        """True where the panel itself says which mark is whose."""
        return False

    @property
    def lines(self) -> list[str]:
        """The names beside the rows, where they stand there."""
        return [one.label for one in self.series]

    @abstractmethod
    def chart(self, look: Look) -> alt.LayerChart:
        """The panel as Vega-Lite."""

    @cached_property
    def rows(self) -> list[dict[str, Any]]:
        """The marks as a chart's data."""
        return [mark.record() for mark in self.marks]

    @cached_property
    def data(self) -> alt.NamedData:
        """Their name in the chart: Altair checks inlined rows once a layer, which takes seconds a figure."""
        return alt.NamedData(name=f"marks-{zlib.crc32(repr(self.rows).encode()):08x}")


@dataclass(frozen=True)
class Lines(Panel):
    """A line a series, with the band over its seeds; a dotted rule at `level`, where there is one."""

    title: str
    marks: tuple[Mark, ...]
    across: Across
    vertical: Vertical
    levels: tuple[float, ...] = ()
    what: str = field(default="value", kw_only=True)  # in the tooltip
    y_title: str = field(default="", kw_only=True)  # where the panel's own leaves room for another meaning
    ends: tuple[str, str] = field(default=("lowest seed", "highest seed"), kw_only=True)  # of the band, there too

    def chart(self, look: Look) -> alt.LayerChart:
        """Lines over a band; a tooltip at the nearest point, which singles its series out."""
        places = list(dict.fromkeys(mark.x for mark in self.marks))
        base = alt.Chart(self.data).encode(x=self.across.x(places), color=look.colour())
        hover, opacity = pointing(look)
        layers = [self._level(level) for level in self.levels]
        up = self.vertical.y("value", self.y_title)
        if any(mark.seeds > 1 for mark in self.marks):
            band = base.mark_area().encode(y=self.vertical.y("low", self.y_title), y2="high:Q")
            layers.append(band.encode(opacity=opacity(0.14 if len(self.series) <= MANY else 0.07)))
        width = 2.2 if look.size is None else 1.3
        line = base.mark_line(strokeWidth=width, strokeJoin="round").encode(
            y=up, strokeDash=look.dashes(), opacity=opacity(1)
        )
        layers.append(line)
        dots = base.mark_point(filled=True, size=36 if look.size is None else 11).encode(y=up)
        if len(places) <= SPARSE:
            layers.append(dots.encode(opacity=opacity(1)))
        elif alone(self.marks):
            layers.append(
                dots.encode(opacity=opacity(1)).transform_filter(alt.FieldOneOfPredicate("series", alone(self.marks)))
            )
        if hover is not None:  # what a pointer finds, dotted or not
            found = dots.encode(
                opacity=alt.value(0), tooltip=tooltip(self.across.title, self.what, self.marks, self.ends)
            )
            layers.append(found.add_params(hover))
        return finished(layers, look, 190)

    def _level(self, level: float) -> alt.Chart:
        rule = alt.Chart(alt.InlineData(values=[{"level": level}])).mark_rule(strokeDash=[2, 3], opacity=0.6)
        drawn: alt.Chart = rule.encode(y=self.vertical.y("level", self.y_title))
        return drawn


@dataclass(frozen=True)
class Dots(Panel):
    """A row a series: the mean over its seeds as a dot, their range as a line; `x` of a mark is its row's mark.

    Ticks mark the values in `ticks`, as that of chance.
    """

    title: str
    marks: tuple[Mark, ...]
    axis_title: str
    ticks: Mapping[str, float] = field(default_factory=dict)  # by label
    zero: bool = field(default=True, kw_only=True)
    what: str = field(default="value", kw_only=True)

    @property
    def named(self) -> bool:
        """The names stand beside the rows."""
        return True

    def chart(self, look: Look) -> alt.LayerChart:
        """One row a series, in their order."""
        names = [one.label for one in self.series]
        x = alt.X(
            "value:Q",
            title=self.axis_title,
            scale=alt.Scale(zero=True, nice=True) if self.zero else alt.Scale(zero=False, nice=False, padding=8),
            axis=alt.Axis(tickCount=4, labelFlush=False),
        )
        y = alt.Y("series:N", title=None, sort=names, axis=alt.Axis(grid=False, ticks=False, labelLimit=look.names))
        base = alt.Chart(self.data).encode(y=y, color=look.colour())
        hover, opacity = pointing(look)
        layers = []
        if any(mark.seeds > 1 for mark in self.marks):
            layers.append(base.mark_rule(strokeWidth=1.6).encode(x=alt.X("low:Q"), x2="high:Q", opacity=opacity(0.7)))
        dots = base.mark_point(filled=True, size=60 if look.size is None else 24).encode(x=x, opacity=opacity(1))
        if hover is not None:
            dots = dots.encode(tooltip=tooltip("", self.what, self.marks)).add_params(hover)
        layers.append(dots)
        if self.ticks:
            rows = [{"series": label, "value": value} for label, value in self.ticks.items()]
            ticks = alt.Chart(alt.InlineData(values=rows)).mark_tick(thickness=1.5, size=9, opacity=0.7)
            layers.append(ticks.encode(x=x, y=y))
        return finished(layers, look, ROW * 1.5 * len(names))


def pointing(look: Look) -> tuple[alt.Parameter | None, Callable[[float], Any]]:
    """What a pointer singles out on a page; nothing on paper."""
    return singled_out() if look.size is None else (None, alt.value)


def finished(layers: Sequence[alt.Chart], look: Look, page_height: float) -> alt.LayerChart:
    """The layers at their size; a page's legend steers every chart, whether it draws series or not."""
    chart = alt.LayerChart(layer=list(layers)).properties(width=look.width, height=look.height(page_height))
    return chart if look.size else chart.add_params(alt.param(name=CHOSEN, value=""))


def alone(marks: Sequence[Mark]) -> list[str]:
    """The series with a single mark, which a line would not show."""
    counts = Counter(one.series.label for one in marks)
    return [label for label, count in counts.items() if count == 1]


def tooltip(
    place: str, what: str, marks: Sequence[Mark], ends: tuple[str, str] = ("lowest seed", "highest seed")
) -> list[alt.Tooltip]:
    """What is said of the nearest mark."""
    fields = [NAME]
    if place:
        fields.append(alt.Tooltip("x:N" if isinstance(marks[0].x, str) else "x:Q", title=place))
    fields.append(alt.Tooltip("value:Q", title=what, format=".4~g"))
    if any(mark.seeds > 1 for mark in marks):
        fields.append(alt.Tooltip("low:Q", title=ends[0], format=".4~g"))
        fields.append(alt.Tooltip("high:Q", title=ends[1], format=".4~g"))
        fields.append(alt.Tooltip("seeds:Q", title="seeds"))
    return fields
