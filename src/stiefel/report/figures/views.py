"""The figures as a page shows them: by section, each panel a chart of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import altair as alt

from ..evidence import Evidence
from .drawing import Missing
from .drawing import Section as Name
from .registry import FIGURES

TITLES: dict[Name, tuple[str, str]] = {
    "ranking": ("Ranking", ""),
    "pairs": ("Every two methods", ""),
    "rates": ("Learning rates", "What each method came to at each rate."),
    "trade-offs": (
        "What it cost",
        "The gain of each method beside what it took: KL to the base, other skills, parameters, time and memory.",
    ),
    "weights": (
        "Weights",
        "What training did to the weights, measured against the base model. A line keeps its colour everywhere.",
    ),
    "training": (
        "The papers' comparisons",
        "The training curves and scores that the papers set side by side, drawn from these runs.",
    ),
}


@dataclass(frozen=True)
class PanelView:
    """A panel, and the number of its chart on the page."""

    number: int
    title: str
    chart: alt.LayerChart


@dataclass(frozen=True)
class View:
    """A figure that is drawn."""

    name: str
    source: str  # whose figure it is drawn after; empty where it is our own
    heading: str
    caption: str
    columns: int
    panels: tuple[PanelView, ...]


@dataclass(frozen=True)
class NotDrawn:
    """A figure that is not, and why."""

    label: str
    heading: str
    reason: str


@dataclass(frozen=True)
class Section:
    """Figures under one heading."""

    title: str
    words: str
    views: tuple[View, ...]
    missing: tuple[NotDrawn, ...]


def sections(evidence: Evidence, names: Sequence[Name], first: int) -> dict[Name, Section]:
    """These sections in this order; `first` is the number of the first panel's chart."""
    found, number = {}, first
    for name in names:
        views: list[View] = []
        missing: list[NotDrawn] = []
        for figure in FIGURES:
            if figure.section != name:
                continue
            match figure.draw(evidence):
                case Missing(reason):
                    missing.append(NotDrawn(figure.label, figure.heading, reason))
                case drawing:
                    charts = zip(drawing.panels, drawing.on_page(), strict=True)
                    panels = tuple(PanelView(number + i, one.title, chart) for i, (one, chart) in enumerate(charts))
                    number += len(panels)
                    caption = drawing.caption
                    views.append(
                        View(
                            figure.name,
                            figure.source,
                            figure.heading,
                            caption,
                            drawing.columns,
                            panels,
                        )
                    )
        title, words = TITLES[name]
        found[name] = Section(title, words, tuple(views), tuple(missing))
    return found
