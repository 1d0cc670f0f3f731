"""Figures 2 and 6: reward, gradient norm and KL while the methods train."""

from __future__ import annotations

from collections.abc import Sequence

from ..curves import Metric
from ..evidence import Evidence
from ..runs import Run
from ..words import listed
from . import captions
from .drawing import Drawing, Missing
from .training import GRADIENT, KL_BASE, KL_ROLLOUT, KL_STEP, KL_WORDS, REWARD, kl_of, panels, trailing

PAPERS = ("lora", "pissa", "milora")
NO_ROLLOUTS = "needs runs that were trained with rewards; these are supervised, and have a loss"


def rewarded(evidence: Evidence) -> list[Run]:
    """The runs with a reward."""
    return [run for run in evidence.runs if run.values(REWARD.key)]


def everywhere(runs: Sequence[Run], metrics: Sequence[Metric]) -> list[Metric]:
    """The metrics that were measured at every learning rate."""
    groups = {run.group for run in runs}
    return [metric for metric in metrics if {run.group for run in runs if run.values(metric.key)} == groups]


def training_dynamics(evidence: Evidence) -> Drawing | Missing:
    """Figure 2: the paper's three methods where at least two of them are there, else every method."""
    runs = rewarded(evidence)
    if not runs:
        return Missing(NO_ROLLOUTS)
    papers = [run for run in runs if run.method in PAPERS]
    theirs = len({run.method for run in papers}) > 1 and len(papers) < len(runs)
    if theirs:
        runs = papers
    kl = kl_of(runs)
    metrics = everywhere(runs, [REWARD, GRADIENT, *([kl] if kl is not None else [])])
    columns = [panels(evidence, runs, metric) for metric in metrics]
    caption = captions.joined(
        f"Reward (mean of a rollout's completions{trailing(REWARD)}) and gradient norm (of all trained parameters "
        "before clipping, mean of a rollout's updates) over training"
        + (f", and {KL_WORDS[kl.key]}." if kl in metrics and kl is not None else "."),
        f"The paper's figure has {listed(PAPERS)} alone, and so has this one." if theirs else "",
        captions.rates(runs),
        captions.seeds(evidence, runs),
        captions.ended_early(runs),
        "" if kl in metrics else "No KL of the updates was measured at every rate.",
    )
    return Drawing(tuple(panel for row in zip(*columns, strict=True) for panel in row), len(columns), caption,
                   evidence.styles)  # fmt: skip


def kl_of_all(evidence: Evidence) -> Drawing | Missing:
    """Figure 6: every method's KL, of its updates and to the base."""
    runs = rewarded(evidence)
    if not runs:
        return Missing(NO_ROLLOUTS)
    steps = [KL_STEP, KL_ROLLOUT] if all(run.recipe.optim.updates_per_rollout > 1 for run in runs) else [KL_STEP]
    metrics = everywhere(runs, [*steps, KL_BASE])
    if not metrics:
        return Missing("needs a KL that was measured at every learning rate; these runs' metrics hold none")
    columns = [panels(evidence, runs, metric) for metric in metrics]
    caption = captions.joined(
        "KL divergence during training: " + "; ".join(KL_WORDS[metric.key] for metric in metrics) + ".",
        "The axes are logarithmic above their first tick and linear below it.",
        captions.rates(runs),
        captions.seeds(evidence, runs),
        captions.ended_early(runs),
    )
    return Drawing(tuple(panel for row in zip(*columns, strict=True) for panel in row), len(columns), caption,
                   evidence.styles)  # fmt: skip
