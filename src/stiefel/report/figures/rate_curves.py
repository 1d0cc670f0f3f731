"""What a method comes to at each learning rate: the score by which it was chosen, the test, and the last reward."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import fmean

from ..evidence import Evidence
from ..runs import Run
from ..vertical import vertical
from ..words import counted
from . import captions
from .drawing import Drawing, Missing
from .marks import Mark, Place, numbers, over_seeds
from .panels import Across, Lines
from .training import last_reward

CHOSEN = (
    "The rates were chosen by the score on the validation, in which a run that did not finish counts as 0; the chosen "
    "ones alone have a test."
)


def rate_curves(evidence: Evidence) -> Drawing | Missing:
    """A line a method over the rates that it was tried at, its band from the lowest to the highest seed."""
    of_series: dict[str, set[float]] = {}
    for run in evidence.runs:
        of_series.setdefault(evidence.series[run.name].label, set()).add(run.lr)
    if max(map(len, of_series.values())) < 2:
        return Missing("needs a method at two or more learning rates")
    found = evidence.ranking
    validation = {} if evidence.rule is None else evidence.rule.validation  # by which a tuned grid chose
    panels = []
    across = Across("learning rate", "rates", values=tuple(sorted({run.lr for run in evidence.runs})))
    if validation:
        panels.append(panel(evidence, "Score on the validation", validation, across))
    if not isinstance(found, str) and found.measure.of_questions:
        scores = {name: fmean(items.values()) for name, items in found.measure.scores.items()}
        panels.append(panel(evidence, found.measure.short.capitalize(), scores, across))
    rewards = {run.name: last for run in evidence.runs if (last := last_reward(run)) is not None}
    if rewards:
        panels.append(panel(evidence, "Reward of the last rollouts", rewards, across))
    kept = [one for one in panels if one.marks]
    if not kept:
        return Missing("needs finished runs")
    lost = [run.name for run in evidence.runs if run.rows and not run.finished]
    left_out = "Left out of the rest" if validation else "Left out"
    caption = captions.joined(
        "Over the learning rate, on a logarithmic axis.",
        CHOSEN if validation else "",
        captions.seeds(evidence, [run for run in evidence.runs if run.finished]),
        f"{left_out}, for they did not finish: {counted(len(lost), 'run')}." if lost else "",
    )
    return Drawing(tuple(kept), len(kept), caption, evidence.styles)


def panel(evidence: Evidence, title: str, values: Mapping[str, float], across: Across) -> Lines:
    """One measure; `values` by the run's name."""
    runs = sorted((run for run in evidence.runs if run.name in values), key=lambda run: run.lr)
    curves: list[tuple[Run, dict[Place, float]]] = [(run, {run.lr: values[run.name]}) for run in runs]
    marks: list[Mark] = over_seeds((evidence.series[run.name], curve) for run, curve in curves)
    return Lines(title, tuple(marks), across, vertical("linear", numbers([marks])), what=title.lower())
