"""The page's training curves as pictures: one a metric, a panel for each rate."""

from __future__ import annotations

from functools import partial

from ..curves import METRICS, Metric
from ..evidence import Evidence
from . import captions
from .drawing import Drawing, Figure, Missing
from .training import panels, trailing


def curve(evidence: Evidence, metric: Metric) -> Drawing | Missing:
    """Every run's curve of a metric."""
    runs = [run for run in evidence.runs if run.values(metric.key)]
    if not runs or not (metric.shown_at_zero or any(value for run in runs for _, value in run.values(metric.key))):
        return Missing(f"needs {metric.key} in metrics.jsonl, which these runs do not have")
    drawn = panels(evidence, runs, metric)
    caption = captions.joined(
        f"{metric.title}: {metric.meaning}{trailing(metric)}.",
        captions.rates(runs),
        captions.seeds(evidence, runs),
        captions.ended_early(runs),
    )
    return Drawing(tuple(drawn), min(3, len(drawn)), caption, evidence.styles)


CURVES = tuple(
    Figure(
        f"curve-{metric.key.replace('_', '-')}", f"Curve of {metric.key}", metric.title, "", "curves",
        partial(curve, metric=metric),
    )
    for metric in METRICS
)  # fmt: skip
