"""Figures 8 and 10: what the methods score after training, by the frame of A and by the learning rate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean

from ..cells import rate
from ..evidence import Evidence
from ..runs import Run
from ..vertical import vertical
from ..words import listed
from . import captions
from .drawing import Drawing, Missing
from .marks import Mark, Place, numbers, over_seeds
from .panels import Across, Dots, Lines

AGNOSTIC, SPECTRAL = ("dct", "wavelet"), ("rlpo", "rlmo")
ALL = "mean of all tasks"
UNITS = "Accuracy is the share of the test questions answered correctly after training"


def accuracies(run: Run) -> dict[str, float]:
    """Task → accuracy after training, and the mean over the tasks where there are several; none before a run's end."""
    found = {task: scores.after.mean for task, scores in run.scores.items()}
    return {**found, ALL: fmean(found.values())} if len(found) > 1 else found


def frames(evidence: Evidence) -> Drawing | Missing:
    """Figure 8: orthonormal frames that know nothing of W beside those of W's singular vectors."""
    runs = [run for run in evidence.of("lora", *AGNOSTIC, *SPECTRAL) if run.scores]
    methods = {run.method for run in runs}
    if not methods & set(AGNOSTIC) or not methods & set(SPECTRAL):
        return Missing("needs finished runs, with eval.tasks, of dct or wavelet and of rlpo or rlmo")
    rates = sorted({run.lr for run in runs})
    tasks = list(dict.fromkeys(task for run in runs for task in accuracies(run)))
    panels = [
        Dots(
            task + captions.at_rate(lr, rates),
            tuple(scored(evidence, runs, lr, task)),
            "accuracy",
            ticks=base_of(evidence, runs, lr, task),
            zero=False,
            what="accuracy",
        )
        for lr in rates
        for task in tasks
        if scored(evidence, runs, lr, task)
    ]
    caption = captions.joined(
        f"{UNITS}, by task, of LoRA, of frames that know nothing of W ({listed(AGNOSTIC)}) and of W's own singular "
        f"vectors ({listed(SPECTRAL)}). A short upright stroke is the base model before training.",
        captions.rates(runs),
        captions.seeds(evidence, runs, "line through a dot"),
    )
    return Drawing(tuple(panels), min(3, len(tasks)), caption, evidence.styles)


def scored(evidence: Evidence, runs: Sequence[Run], lr: float, task: str) -> list[Mark]:
    """One mark a series: a task's accuracy after training."""
    found = [(run, accuracies(run)) for run in runs if run.lr == lr]
    return over_seeds((evidence.series[run.name], {task: scores[task]}) for run, scores in found if task in scores)


def base_of(evidence: Evidence, runs: Sequence[Run], lr: float, task: str) -> Mapping[str, float]:
    """Series → the base model's accuracy on the same questions."""
    found = {}
    for run in runs:
        before = {name: scores.before.mean for name, scores in run.scores.items()}
        if run.lr == lr and before:
            found[evidence.series[run.name].label] = fmean(before.values()) if task == ALL else before[task]
    return found


def learning_rates(evidence: Evidence) -> Drawing | Missing:
    """Figure 10: accuracy over the learning rate."""
    runs = [run for run in evidence.runs if run.scores]
    rates = sorted({run.lr for run in runs})
    if len(rates) < 2:
        return Missing("needs finished runs, with eval.tasks, at two or more learning rates (a grid's optim.lr axis)")
    tasks = list(dict.fromkeys(task for run in runs for task in accuracies(run)))
    shown = [task for task in tasks if task == ALL or task in {run.task for run in runs}] or tasks[:1]
    panels = []
    for task in shown:
        # rate by rate, so that the axis has them in order
        curves: list[tuple[Run, dict[Place, float]]] = [
            (run, {rate(run.lr): accuracies(run)[task]})
            for run in sorted(runs, key=lambda run: run.lr)
            if task in accuracies(run)
        ]
        marks = over_seeds((evidence.series[run.name], curve) for run, curve in curves)
        across = Across("learning rate", "names", tuple(map(rate, rates)))
        panels.append(Lines(task, tuple(marks), across, vertical("linear", numbers([marks])), what="accuracy"))
    lost = [run.name for run in evidence.runs if run.rows and not run.finished]
    caption = captions.joined(
        f"{UNITS}, over the learning rate.",
        captions.seeds(evidence, runs),
        f"Without a score, for they did not finish: {listed(lost)}." if lost else "",
    )
    return Drawing(tuple(panels), len(panels), caption, evidence.styles)
