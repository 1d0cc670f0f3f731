"""What methods are ranked by: each run's score on the questions that were held out, or its last reward."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from .rate_rule import RateRule
from .runs import Run
from .table import ends

Item = tuple[str, int]  # a task and the number of a question
Scores = Mapping[Item, float]  # each question's mean score over its samples
REWARD: Item = ("reward", 0)


@dataclass(frozen=True)
class Outcomes:
    """The same measure of every run that has it."""

    name: str  # as a sentence says it
    short: str  # as an axis does
    of_questions: bool
    scores: Mapping[str, Scores]  # by the run's name
    untested: tuple[str, ...] = ()  # runs that a validation chose, and that have no test

    @property
    def span(self) -> tuple[float, float]:
        """What a question's score can be: from 0 to 1, or as far as a grader of one's own went; of rewards any."""
        if not self.of_questions:
            return -math.inf, math.inf
        every = [score for scores in self.scores.values() for score in scores.values()]
        return min(0.0, *every), max(1.0, *every)


def outcomes(runs: Sequence[Run], rule: RateRule | None = None) -> Outcomes | str:
    """Of all finished runs, or why there is nothing to rank them by.

    Accuracy after training on the trained task (of a mixture on all its tasks) where every finished run measured it,
    else the reward of the last rollouts. Where a validation chose the rates, of the chosen runs alone, for the
    others have no test, and by theirs as soon as one of them has it.
    """
    trained = {run.trained for run in runs}
    if len(trained) > 1:
        return "the runs train on different tasks, whose scores are not to be compared"
    tuned = rule is not None and rule.tuned
    chosen = [run for run in runs if rule is None or rule.matched or run.name in rule.chosen]
    done = [run for run in chosen if run.finished]
    if not done:
        return "no run at a chosen rate is finished" if tuned else "no run is finished yet"
    tasks = next(iter(trained))
    asked = [run for run in done if all(task in run.scores for task in tasks)]
    if asked and (tuned or len(asked) == len(done)):
        scores = {run.name: found for run in asked if (found := of_questions(run, tasks))}
        if scores and (tuned or len(scores) == len(done)):
            name = runs[0].task
            without = tuple(name for name in rule.chosen if name not in scores) if rule is not None else ()
            return Outcomes(f"accuracy on {name} after training", f"accuracy on {name}", True, scores, without)
    if tuned and all(set(tasks) <= set(run.recipe.eval.tasks) for run in done):
        return "no run at a chosen rate has its test yet"
    rewards = {run.name: [value for _, value in run.values("reward")] for run in done}
    if all(rewards.values()):
        last = {name: {REWARD: ends(values)[1]} for name, values in rewards.items()}
        return Outcomes("reward of the last rollouts", "last reward", False, last)
    return "no measure is there of every finished run: eval.tasks names none that was trained"


def of_questions(run: Run, tasks: Sequence[str]) -> Scores:
    """Each question's mean over its samples after training."""
    found: dict[Item, list[float]] = {}
    for one in run.kept.grades:
        if one.when == "after" and one.task in tasks and one.score is not None:
            found.setdefault((one.task, one.question), []).append(one.score)
    return {item: fmean(scores) for item, scores in found.items()}
