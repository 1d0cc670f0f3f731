"""How charts look on a light and on a dark page; the lines' colours are the same on both."""

from __future__ import annotations

from typing import Any


def config(ink: str, faint: str) -> dict[str, Any]:
    """A Vega-Lite config: `ink` for words, `faint` for rules; the page shows through."""
    words = {"labelColor": ink, "titleColor": ink, "labelFontSize": 11.5, "titleFontSize": 11.5}
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
        "legend": words,
        "title": {"color": ink, "fontSize": 13, "fontWeight": "bold", "anchor": "start", "offset": 10},
    }


LIGHT = config("#4a4f57", "#e3e5e8")
DARK = config("#b9bfc9", "#343a44")
