"""How charts look on a light and on a dark page; the lines' colours are the same on both."""

from __future__ import annotations

from typing import Any


def config(ink: str, faint: str, size: float = 11.5) -> dict[str, Any]:
    """A Vega-Lite config: `ink` for words of a font size, `faint` for rules; the page shows through."""
    words = {"labelColor": ink, "titleColor": ink, "labelFontSize": size, "titleFontSize": size}
    return {
        "font": "Helvetica, Arial, sans-serif",
        "background": "transparent",
        "customFormatTypes": True,  # lets a tooltip name its formatting function
        "view": {"stroke": None},
        "axis": {
            **words,
            "titleFontWeight": "normal",
            "gridColor": faint,
            "domainColor": faint,
            "tickColor": faint,
            "labelPadding": 5,
        },
        "mark": {"color": ink},  # of what is no series
        "rule": {"color": ink},  # which Vega-Lite would draw in black on a dark page too
        "legend": words,
        "title": {"color": ink, "fontSize": size + 1.5, "fontWeight": "bold", "anchor": "start", "offset": 10},
    }


LIGHT = config("#4a4f57", "#e3e5e8")
DARK = config("#b9bfc9", "#343a44")
PAPER = config("#000000", "#dddddd", 8.0)  # at print size: a unit is a point
PAPER |= {
    "axis": {**PAPER["axis"], "labelPadding": 2, "tickSize": 3, "titlePadding": 3},
    "title": {**PAPER["title"], "fontSize": 8.5, "offset": 4},
    "legend": {**PAPER["legend"], "rowPadding": 1, "columnPadding": 8, "offset": 4, "labelLimit": 0},
}
