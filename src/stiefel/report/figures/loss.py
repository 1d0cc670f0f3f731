"""Figure 11: the loss of supervised fine-tuning."""

from __future__ import annotations

from ..evidence import Evidence
from ..vertical import vertical
from . import captions
from .drawing import Drawing, Missing
from .marks import numbers
from .panels import Across, Lines
from .training import BY_KEY, marks, trailing

LOSS = BY_KEY["loss"]


def sft_loss(evidence: Evidence) -> Drawing | Missing:
    """A panel a task and learning rate."""
    runs = [run for run in evidence.runs if run.values(LOSS.key)]
    if not runs:
        return Missing('needs supervised runs (algorithm.name = "sft")')
    rates = sorted({run.lr for run in runs})
    groups = {(task, lr): [run for run in runs if (run.task, run.lr) == (task, lr)]
              for lr in rates for task in dict.fromkeys(run.task for run in runs)}  # fmt: skip
    found = {key: marks(evidence, group, LOSS, key[1]) for key, group in groups.items() if group}
    axis = vertical("linear", numbers(found.values()))
    panels = [
        Lines(f"{task}{captions.at_rate(lr, rates)}", tuple(drawn), Across("update"), axis, what="loss")
        for (task, lr), drawn in found.items()
    ]
    caption = captions.joined(
        "Training loss of supervised fine-tuning: cross-entropy of the reference answers' tokens in nats per token"
        f"{trailing(LOSS)}.",
        captions.rates(runs),
        captions.seeds(evidence, runs),
        "The paper's band is one standard deviation over seeds.",
        captions.ended_early(runs),
    )
    return Drawing(tuple(panels), min(3, len(panels)), caption, evidence.styles)
