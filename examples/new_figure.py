"""A new figure: a pure function from what the runs' files say to panels. In Stiefel its place is report/figures/."""

from collections.abc import Mapping
from itertools import accumulate

from stiefel.report.evidence import Evidence
from stiefel.report.figures import Drawing, Figure, Missing, captions
from stiefel.report.figures.marks import Place, numbers, over_seeds
from stiefel.report.figures.panels import Across, Lines
from stiefel.report.runs import Run
from stiefel.report.vertical import vertical


def so_far(run: Run) -> Mapping[Place, float]:
    """Rollout → the mean reward of it and of all before it: how soon a method was good, and not just how good."""
    places, rewards = zip(*run.values("reward"), strict=True)
    return {place: total / n for n, (place, total) in enumerate(zip(places, accumulate(rewards), strict=True), 1)}


def reward_so_far(evidence: Evidence) -> Drawing | Missing:
    """A panel a learning rate; a line is the mean over a method's seeds."""
    runs = [run for run in evidence.runs if run.values("reward")]
    if not runs:
        return Missing("needs runs that were trained with rewards")
    rates = sorted({run.group for run in runs})
    found = {
        here: over_seeds((evidence.series[run.name], so_far(run)) for run in runs if run.group == here)
        for here in rates
    }
    axis = vertical("linear", numbers(found.values()))  # one scale, or panels could not be compared
    panels = [
        Lines("Reward so far" + captions.at_rate(here, rates), tuple(marks), Across("rollout"), axis, what="reward")
        for here, marks in found.items()
    ]
    caption = captions.joined(
        "Mean reward of a rollout's completions and of all rollouts before it.",
        captions.rates(runs),
        captions.seeds(evidence, runs),
        captions.ended_early(runs),
    )
    return Drawing(tuple(panels), min(3, len(panels)), caption, evidence.styles)


REWARD_SO_FAR = Figure("reward-so-far", "Reward so far", "Mean reward from the beginning", "", "curves", reward_so_far)
