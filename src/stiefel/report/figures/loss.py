"""Figure 11: the loss of supervised fine-tuning."""

from __future__ import annotations

from collections.abc import Mapping

from ..curves import trailing_mean
from ..evidence import Evidence
from ..runs import Run
from ..vertical import vertical
from . import captions
from .drawing import Drawing, Missing
from .marks import Place, numbers, with_deviations
from .panels import Across, Lines
from .training import BY_KEY, trailing

LOSS = BY_KEY["loss"]


def sft_loss(evidence: Evidence) -> Drawing | Missing:
    """A panel a task and learning rate."""
    runs = [run for run in evidence.runs if run.values(LOSS.key)]
    if not runs:
        return Missing('needs supervised runs (algorithm.name = "sft")')
    rates = sorted({run.group for run in runs})
    groups = {(task, here): [run for run in runs if (run.task, run.group) == (task, here)]
              for here in rates for task in dict.fromkeys(run.task for run in runs)}  # fmt: skip
    found = {
        key: with_deviations((evidence.series[run.name], smoothed(run)) for run in group)
        for key, group in groups.items()
        if group
    }
    axis = vertical("linear", numbers(found.values()))
    panels = [
        Lines(
            f"{task}{captions.at_rate(here, rates)}",
            tuple(drawn),
            Across("update"),
            axis,
            what="loss",
            ends=("−1σ", "+1σ"),
        )
        for (task, here), drawn in found.items()
    ]
    caption = captions.joined(
        "Training loss of supervised fine-tuning: cross-entropy of the reference answers' tokens in nats per token"
        f"{trailing(LOSS)}.",
        captions.rates(runs),
        captions.seeds(evidence, runs, spans="is one sample standard deviation to either side, as in the RLPO paper"),
        captions.ended_early(runs),
    )
    return Drawing(tuple(panels), min(3, len(panels)), caption, evidence.styles)


def smoothed(run: Run) -> Mapping[Place, float]:
    """Update → the trailing mean of the loss."""
    values = run.values(LOSS.key)
    means = trailing_mean([value for _, value in values], LOSS.window)
    return {step: mean for (step, _), mean in zip(values, means, strict=True)}
