"""A figure: panels that belong together, what they show in words, and how they lie on paper."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from textwrap import wrap
from typing import Literal, TypeVar, get_args

import altair as alt

from .. import theme
from ..evidence import Evidence
from ..series import Series, Style, ordered
from .panels import ROW, Look, Panel

# points, of which a PDF's picture has one a unit: a column and the full width of a two-column page
COLUMN, PAGE = 240.0, 487.0
AXIS, GAP, EDGE = 34.0, 12.0, 11.0  # left of a panel, between panels, and for a last label that stands out
TICK = 8.0  # between a name and its panel
TITLE = 5.0  # width of a letter of a bold title on average
LETTER, SYMBOL = 4.6, 32.0  # widths in a legend: of a letter at most on average, and of a line with its distances
Section = Literal["ranking", "pairs", "rates", "trade-offs", "curves", "weights", "training"]
SECTIONS: tuple[Section, ...] = get_args(Section)
C = TypeVar("C", alt.LayerChart, alt.ConcatChart)


@dataclass(frozen=True)
class Missing:
    """Why a directory has nothing to draw a figure from."""

    reason: str


@dataclass(frozen=True)
class Drawing:
    """Panels in rows of `columns`, with a caption."""

    panels: tuple[Panel, ...]
    columns: int
    caption: str
    styles: Mapping[Series, Style]

    @cached_property
    def shown(self) -> dict[Series, Style]:
        """The style of every series that a panel draws."""
        drawn = ordered(one for panel in self.panels for one in panel.series)
        return {one: self.styles[one] for one in drawn if one in self.styles}

    @property
    def width(self) -> float:
        """On paper: a column where one panel and the longest name fit in, else a page."""
        longest = max((len(one.label) for one in self.shown), default=0) * LETTER + SYMBOL
        return COLUMN if self.columns == 1 and longest <= COLUMN else PAGE

    def on_page(self) -> list[alt.LayerChart]:
        """Each panel by itself, as wide as its place."""
        return [with_rows(panel.chart(Look(self.shown)), [panel]) for panel in self.panels]

    def on_paper(self) -> alt.ConcatChart:
        """All panels as one picture, a column or a page wide, with one legend."""
        outer = (self.width - GAP * (self.columns - 1)) / self.columns
        names = [name for panel in self.panels if panel.named for name in panel.lines]
        left = min(max([AXIS, *(len(name) * LETTER + TICK for name in names)]), outer / 2)
        inner = outer - left - EDGE
        charts = []
        for panel in self.panels:
            height = ROW * len(panel.lines) if panel.named else min(0.72 * inner, 120.0)
            look = Look(self.shown, (inner, height), self._legend(), left - TICK)
            charts.append(panel.chart(look).properties(title=wrap(panel.title, int(inner / TITLE))))
        whole = alt.concat(
            *charts, columns=self.columns, spacing=GAP, config=theme.PAPER, background="white", padding=4
        )
        return with_rows(whole, self.panels)

    def _legend(self) -> alt.Legend | None:
        """Lines above the whole picture, in as many columns as there is room for; none where names stand beside."""
        if all(panel.named for panel in self.panels) or len(self.shown) < 2:
            return None
        longest = max(len(one.label) for one in self.shown)
        columns = max(1, min(len(self.shown), int(self.width / (longest * LETTER + SYMBOL))))
        return alt.Legend(
            orient="top", columns=columns, symbolType="stroke", symbolStrokeWidth=1.8, symbolSize=400, symbolOpacity=1
        )


def with_rows(chart: C, panels: Sequence[Panel]) -> C:
    """The chart with its panels' rows under the names by which they are asked for."""
    chart["datasets"] = {panel.data.name: panel.rows for panel in panels}
    return chart


Draw = Callable[[Evidence], Drawing | Missing]


@dataclass(frozen=True)
class Figure:
    """A figure of a paper, and how it is drawn from runs."""

    name: str  # of its files
    label: str  # "RLPO paper, Fig. 7": a number stands beside whose it is
    heading: str
    source: str  # a paper; empty where the figure is our own
    section: Section
    draw: Draw
