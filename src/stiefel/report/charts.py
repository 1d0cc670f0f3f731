"""Points → Vega-Lite charts, one per metric and group of runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import altair as alt

from .counted import counted_axis
from .curves import METRICS, Metric, Point, numbers, points
from .groups import Group
from .runs import Run
from .series import Series, styles
from .vertical import Vertical, vertical

SPARSE = 25  # at most so many measurements a line are marked by dots
DOT = 36  # square pixels
FAINT = 0.12  # lines that another one is chosen before
CHOSEN = "chosen"  # the series that the page's legend points at; "" for all


def charts(runs: Sequence[Run]) -> list[tuple[Metric, Group, alt.LayerChart]]:
    """Every chart of a page: by metric, then by group; those of one metric share their scale."""
    return [
        (metric, group, interactive(metric, data, vertical).properties(width="container", height=220))
        for metric in METRICS
        for group, data, vertical in by_group(runs, metric)
    ]


def by_group(runs: Sequence[Run], metric: Metric) -> list[tuple[Group, list[Point], Vertical]]:
    """(group, points, common vertical scale) of every chart of a metric that has something to draw."""
    if not metric.shown_at_zero and not any(value for run in runs for _, value in run.values(metric.key)):
        return []
    found = {group: points(runs, metric, group) for group in sorted({run.group for run in runs})}
    vertical = vertical_of(metric, list(found.values()))
    return [(group, data, vertical) for group, data in found.items() if data]


def lines(
    metric: Metric,
    data: Sequence[Point],
    vertical: Vertical,
    opacity: Callable[[float], Any] = alt.value,
    legend: alt.Legend | None = None,
) -> list[alt.Chart]:
    """A line per series; under it the band over seeds, and the single rollouts where the line is a trailing mean."""
    base = alt.Chart(alt.InlineData(values=[record(point) for point in data])).encode(
        x=counted_axis("rollout", metric.steps, (point.rollout for point in data), 8),
        color=colour(data, legend),
    )
    dashed = base.encode(strokeDash=dashes(data, legend))
    layers = []
    if any(point.seeds > 1 for point in data):
        layers.append(base.mark_area().encode(y=vertical.y("low", metric.axis), y2="high:Q", opacity=opacity(0.14)))
    elif metric.window > 1:  # beside a band, single rollouts would be one thing too many
        layers.append(dashed.mark_line(strokeWidth=1).encode(y=vertical.y("raw", metric.axis), opacity=opacity(0.3)))
    layers.append(dashed.mark_line(strokeWidth=2.2).encode(y=vertical.y("value", metric.axis), opacity=opacity(1)))
    return layers


def interactive(metric: Metric, data: Sequence[Point], vertical: Vertical) -> alt.LayerChart:
    """Lines with tooltips at the nearest point, which singles its series out; so does the page's legend."""
    hover, opacity = singled_out()
    sparse = len({point.rollout for point in data}) <= SPARSE
    layers = lines(metric, data, vertical, opacity)
    dots = (
        layers[-1]
        .mark_point(filled=True, size=DOT)
        .encode(opacity=opacity(1) if sparse else alt.value(0), strokeDash=alt.value([]), tooltip=tooltip(metric, data))
    )
    return alt.LayerChart(layer=[*layers, dots.add_params(hover)]).add_params(alt.param(name=CHOSEN, value=""))


def singled_out() -> tuple[alt.Parameter, Callable[[float], alt.Opacity]]:
    """The selection of the nearest mark's series, and the opacity of marks that fade where another one is chosen."""
    hover = alt.selection_point(name="hover", on="pointerover", clear="pointerout", nearest=True, fields=["series"])
    idle = f"!length(data('hover_store')) && ({CHOSEN} === '' || datum.series === {CHOSEN})"
    test = {"or": [{"param": "hover", "empty": False}, idle]}
    return hover, lambda full: alt.Opacity(condition={"test": test, "value": full}, value=full * FAINT)


# With `nearest`, Vega-Lite 6.4 finds a name in a tooltip only by way of a format of one's own
NAME = alt.Tooltip("series:N", title="method", formatType="toString", format="s")


def record(point: Point) -> dict[str, Any]:
    """A point as a row of the chart's data."""
    return {
        "series": point.series.label,
        "rollout": point.rollout,
        "value": point.value,
        "low": point.low,
        "high": point.high,
        "raw": point.raw,
        "seeds": point.seeds,
    }


def tooltip(metric: Metric, data: Sequence[Point]) -> list[alt.Tooltip]:
    """What is said of the nearest point."""
    several = any(point.seeds > 1 for point in data)
    fields = [NAME, alt.Tooltip("rollout:Q", title=metric.steps)]
    mean = f"mean of {metric.window} {metric.steps}s" if metric.window > 1 else metric.name
    fields.append(alt.Tooltip("value:Q", title=mean, format=".4~g"))
    if metric.window > 1:
        fields.append(alt.Tooltip("raw:Q", title=f"this {metric.steps}", format=".4~g"))
    if several:
        fields.append(alt.Tooltip("low:Q", title="lowest seed", format=".4~g"))
        fields.append(alt.Tooltip("high:Q", title="highest seed", format=".4~g"))
        fields.append(alt.Tooltip("seeds:Q", title="seeds"))
    return fields


def colour(data: Sequence[Point], legend: alt.Legend | None = None) -> alt.Color:
    """The fixed colour of each series; the page has a legend of its own."""
    drawn = drawn_series(data)
    scale = alt.Scale(domain=[one.label for one in drawn], range=[style.colour for style in styles(drawn).values()])
    return alt.Color("series:N", scale=scale, legend=legend, title=None)


def dashes(data: Sequence[Point], legend: alt.Legend | None = None) -> alt.StrokeDash:
    """The fixed dashes of each series."""
    drawn = drawn_series(data)
    patterns = [list(style.dash) or [1, 0] for style in styles(drawn).values()]
    scale = alt.Scale(domain=[one.label for one in drawn], range=patterns)
    return alt.StrokeDash("series:N", scale=scale, legend=legend, title=None)


def drawn_series(data: Sequence[Point]) -> list[Series]:
    """The series of a chart, in their order."""
    return list(dict.fromkeys(point.series for point in data))


def vertical_of(metric: Metric, found: Sequence[Sequence[Point]]) -> Vertical:
    """The scale that holds every chart of a metric."""
    return vertical(metric.scale, numbers(found))
