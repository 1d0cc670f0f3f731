"""Figures 8 and 10: what the methods score after training, by the frame of A and by the learning rate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Literal

from ..evidence import Evidence
from ..groups import Group, rate
from ..runs import Run
from ..vertical import vertical
from ..words import listed
from . import captions
from .drawing import Drawing, Missing
from .marks import Mark, Place, numbers, over_seeds
from .panels import Across, Dots, Lines

AGNOSTIC, SPECTRAL = ("dct", "wavelet"), ("rlpo", "rlmo")
ALL = "mean of all tasks"
UNITS = "Accuracy is the share of the test questions answered correctly after training (avg@n)"
PASSES = (
    "pass@k is the chance that one of k completions of a question is right, k being all that were drawn of it "
    "(of a mean over tasks, of each task)"
)


def accuracies(run: Run) -> dict[str, float]:
    """Task → accuracy after training, and its pass@n where a question has n > 1 samples; the mean over several tasks.

    None before a run's end.
    """
    return with_means(run, "after")


def with_means(run: Run, when: Literal["before", "after"]) -> dict[str, float]:
    """The accuracies and the pass@n of one phase, each followed by its mean over all tasks."""
    averages = {task: vars(scores)[when].mean for task, scores in run.scores.items()}
    found = {**averages, ALL: fmean(averages.values())} if len(averages) > 1 else averages
    most = {task: max(scores.pass_at, default=1) for task, scores in run.scores.items()}
    chances = {f"{task}, pass@{n}": vars(run.scores[task].pass_at[n])[when].mean for task, n in most.items() if n > 1}
    if len(chances) == len(averages) > 1:
        chances[f"{ALL}, pass@k"] = fmean(chances.values())
    return {**found, **chances}


def frames(evidence: Evidence) -> Drawing | Missing:
    """Figure 8: orthonormal frames that know nothing of W beside those of W's singular vectors."""
    runs = [run for run in evidence.of("lora", *AGNOSTIC, *SPECTRAL) if run.scores]
    methods = {run.method for run in runs}
    if not methods & set(AGNOSTIC) or not methods & set(SPECTRAL):
        return Missing("needs finished runs, with eval.tasks, of dct or wavelet and of rlpo or rlmo")
    groups = sorted({run.group for run in runs})
    tasks = list(dict.fromkeys(task for run in runs for task in accuracies(run)))
    panels = [
        Dots(
            task + captions.at_rate(here, groups),
            tuple(scored(evidence, runs, here, task)),
            measured(task),
            ticks=base_of(evidence, runs, here, task),
            zero=False,
            what=measured(task),
        )
        for here in groups
        for task in tasks
        if scored(evidence, runs, here, task)
    ]
    caption = captions.joined(
        f"{UNITS}, by task, of LoRA, of frames that know nothing of W ({listed(AGNOSTIC)}) and of W's own singular "
        f"vectors ({listed(SPECTRAL)}). A short upright stroke is the base model before training.",
        said_of_passes(tasks),
        captions.rates(runs),
        captions.seeds(evidence, runs, "line through a dot"),
    )
    return Drawing(tuple(panels), min(3, len(tasks)), caption, evidence.styles)


def scored(evidence: Evidence, runs: Sequence[Run], group: Group, task: str) -> list[Mark]:
    """One mark a series: a task's accuracy after training."""
    found = [(run, accuracies(run)) for run in runs if run.group == group]
    return over_seeds((evidence.series[run.name], {task: scores[task]}) for run, scores in found if task in scores)


def base_of(evidence: Evidence, runs: Sequence[Run], group: Group, task: str) -> Mapping[str, float]:
    """Series → the base model's accuracy on the same questions."""
    found = {}
    for run in runs:
        before = with_means(run, "before")
        if run.group == group and task in before:
            found[evidence.series[run.name].label] = before[task]
    return found


def learning_rates(evidence: Evidence) -> Drawing | Missing:
    """Figure 10: accuracy over the learning rate."""
    runs = [run for run in evidence.runs if run.scores]
    rates = sorted({run.lr for run in runs})
    if len(rates) < 2:
        return Missing("needs finished runs, with eval.tasks, at two or more learning rates (a grid's optim.lr axis)")
    tasks = list(dict.fromkeys(task for run in runs for task in accuracies(run)))
    trained = {task for run in runs for task in run.trained}
    shown = [task for task in tasks if task.startswith(ALL) or task.partition(", ")[0] in trained] or [
        task for task in tasks if task.partition(", ")[0] == tasks[0]
    ]
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
        panels.append(Lines(task, tuple(marks), across, vertical("linear", numbers([marks])), what=measured(task)))
    lost = [run.name for run in evidence.runs if run.rows and not run.finished]
    caption = captions.joined(
        f"{UNITS}, over the learning rate.",
        said_of_passes(tasks),
        captions.seeds(evidence, runs),
        f"Without a score, for they did not finish: {listed(lost)}." if lost else "",
    )
    return Drawing(tuple(panels), min(3, len(panels)), caption, evidence.styles)


def measured(task: str) -> str:
    """What an axis counts."""
    return task.rpartition(", ")[2] if ", pass@" in task else "accuracy"


def said_of_passes(tasks: Sequence[str]) -> str:
    """What pass@k is, where a panel shows it."""
    return f"{PASSES}." if any(", pass@" in task for task in tasks) else ""
