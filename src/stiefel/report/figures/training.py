"""Curves of metrics.jsonl: how a figure's panels of reward, gradient norm and KL are made."""

from __future__ import annotations

from collections.abc import Sequence

from ..curves import METRICS, Metric, points
from ..evidence import Evidence
from ..groups import Group
from ..runs import Run
from ..table import ends
from ..vertical import vertical
from .captions import at_rate
from .marks import Mark, from_points, numbers
from .panels import Across, Lines, Panel

BY_KEY = {metric.key: metric for metric in METRICS}
REWARD, GRADIENT = BY_KEY["reward"], BY_KEY["grad_norm"]
TO_ROLLOUT = "KL(π_new‖π_rollout)"
KL_STEP = Metric("kl_step", "KL of a rollout to the policy before it", "", "symlog", axis=TO_ROLLOUT)
KL_ROLLOUT = Metric(
    "kl_rollout", "KL of a rollout without its last update to the policy before it", "", "symlog", axis=TO_ROLLOUT
)
KL_BASE = BY_KEY["kl_base"]
ROLLOUT = "rollout"
OF_ROLLOUT = "KL(π_new‖π_rollout) per token in nats to the policy that wrote the rollout, "
KL_WORDS = {
    "kl_rollout": f"{OF_ROLLOUT}measured at the rollout's last update before it is applied (kl_rollout)",
    "kl_step": f"{OF_ROLLOUT}after the rollout's last update, Eq. 6 of the RLPO paper (kl_step, every run.kl_every "
    "rollouts)",
    "kl_base": "KL(π_θ‖π_base) per token in nats to the base model, on fresh samples (kl_base, every run.kl_every "
    "rollouts)",
}


def kl_of(runs: Sequence[Run]) -> Metric | None:
    """The paper's KL: of every rollout where there are several updates in one, else where it was measured."""
    several = all(run.recipe.optim.updates_per_rollout > 1 for run in runs)
    for metric in (KL_ROLLOUT, KL_STEP) if several else (KL_STEP,):
        if any(run.values(metric.key) for run in runs):
            return metric
    return None


def panels(evidence: Evidence, runs: Sequence[Run], metric: Metric, title: str = "") -> list[Panel]:
    """A panel a learning rate at which the metric was measured, on one scale."""
    found = {here: marks(evidence, runs, metric, here) for here in sorted({run.group for run in runs})}
    axis = vertical(metric.scale, numbers(found.values()))
    return [
        Lines(
            (title or metric.title) + at_rate(here, list(found)),
            tuple(drawn),
            Across(ROLLOUT),
            axis,
            what=metric.name,
            y_title=metric.axis,
        )
        for here, drawn in found.items()
        if drawn
    ]


def marks(evidence: Evidence, runs: Sequence[Run], metric: Metric, group: Group) -> list[Mark]:
    """The curves of one panel."""
    return from_points(points(runs, metric, group, evidence.series))


def last_reward(run: Run) -> float | None:
    """The mean reward of a finished run's last rollouts."""
    values = [value for _, value in run.values(REWARD.key)]
    return ends(values)[1] if run.finished and values else None


def trailing(metric: Metric) -> str:
    """How a curve is smoothed, if it is."""
    return f", trailing mean of {metric.window} {metric.steps}s" if metric.window > 1 else ""


def by_row(columns: Sequence[Sequence[Panel]]) -> tuple[Panel, ...]:
    """Panels given column by column, equally many in each, in reading order."""
    return tuple(panel for row in zip(*columns, strict=True) for panel in row)
