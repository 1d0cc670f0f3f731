"""Runs → one row per method and learning rate; pure."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..scores import Score, accuracy, by_question, paired_difference
from .runs import Answer, Run
from .series import Series, ordered, series_of

WINDOW = 5  # rollouts whose mean is the first and the last reward


@dataclass(frozen=True)
class Figure:
    """A number over seeds: mean and, from two seeds on, sample standard deviation.

    `mean` is None where nothing was measured, and where a seed's number is not finite (`finite` tells which).
    """

    mean: float | None
    spread: float | None = None
    finite: bool = True


@dataclass(frozen=True)
class Accuracy:
    """A score with its 95% interval over questions, and the spread of the seeds' means."""

    mean: float
    low: float
    high: float
    spread: float | None
    questions: int


@dataclass(frozen=True)
class TaskFigures:
    """A task before and after training, and the paired difference on the same questions."""

    before: Accuracy
    after: Accuracy
    gain: Accuracy


@dataclass(frozen=True)
class TableRow:
    """One method (in one variant) at one learning rate, over its finished seeds."""

    series: Series
    lr: float
    task: str
    seeds: tuple[int, ...]
    unfinished: tuple[str, ...]  # names of runs that are left out
    first_reward: Figure
    last_reward: Figure
    peak_grad_norm: Figure
    kl_base: Figure
    tasks: dict[str, TaskFigures]
    trainable_parameters: int | None
    not_applicable: tuple[str, ...]
    seconds: Figure


def table(runs: Sequence[Run]) -> list[TableRow]:
    """One row per learning rate and series, rates ascending."""
    series = series_of(runs)
    return [
        row(one, [run for run in runs if series[run.name] == one and run.lr == lr])
        for lr in sorted({run.lr for run in runs})
        for one in ordered(series[run.name] for run in runs if run.lr == lr)
    ]


def row(series: Series, runs: Sequence[Run]) -> TableRow:
    """Average the finished runs of one cell."""
    done = sorted((run for run in runs if run.finished), key=lambda run: run.seed)
    tasks = {name: task_figures(name, done) for name in done[0].scores} if done else {}
    return TableRow(
        series=series,
        lr=runs[0].lr,
        task=runs[0].task,
        seeds=tuple(run.seed for run in done),
        unfinished=tuple(run.name for run in runs if not run.finished),
        first_reward=over_seeds(done, "reward", lambda values: statistics.fmean(values[:WINDOW])),
        last_reward=over_seeds(done, "reward", lambda values: statistics.fmean(values[-WINDOW:])),
        peak_grad_norm=over_seeds(done, "grad_norm", peak),
        kl_base=over_seeds(done, "kl_base", lambda values: values[-1]),
        tasks=tasks,
        trainable_parameters=done[0].manifest.trainable_parameters if done else None,
        not_applicable=done[0].manifest.not_applicable if done else (),
        seconds=over_seeds(done, "seconds", sum),
    )


def peak(values: list[float]) -> float:
    """The largest value; NaN if there is one, which `max` would hide."""
    return max(values) if all(math.isfinite(value) for value in values) else math.nan


def over_seeds(runs: Sequence[Run], metric: str, summary: Callable[[list[float]], float]) -> Figure:
    """One number a run, then mean and spread over the runs that measured it."""
    series = [[value for _, value in run.values(metric)] for run in runs]
    numbers = [summary(values) for values in series if values]
    if not numbers:
        return Figure(None)
    if not all(math.isfinite(number) for number in numbers):
        return Figure(None, finite=False)
    return Figure(statistics.fmean(numbers), spread(numbers))


def spread(numbers: Sequence[float]) -> float | None:
    """Sample standard deviation; None for a single number."""
    return statistics.stdev(numbers) if len(numbers) > 1 else None


def task_figures(task: str, runs: Sequence[Run]) -> TaskFigures:
    """One run's own scores; for several seeds, scores of each question's mean over the seeds.

    The seeds answer the same questions, so that the interval is over questions, and `spread` is over seeds.
    """
    scores = [run.scores[task] for run in runs]
    if len(runs) == 1:
        before, after, gain = scores[0].before, scores[0].after, scores[0].difference
    else:
        samples = [answer for run in runs for answer in run.samples() if answer.task == task]
        old, new = question_means(samples, "before"), question_means(samples, "after")
        before, after, gain = accuracy(old), accuracy(new), paired_difference(old, new)
    return TaskFigures(
        with_spread(before, [score.before.mean for score in scores]),
        with_spread(after, [score.after.mean for score in scores]),
        with_spread(gain, [score.difference.mean for score in scores]),
    )


def question_means(samples: Sequence[Answer], when: str) -> list[float]:
    """Each question's mean score over samples and seeds."""
    graded = ((sample.question, sample.score, sample.when) for sample in samples)
    return by_question((question, score) for question, score, phase in graded if phase == when and score is not None)


def with_spread(score: Score, means: Sequence[float]) -> Accuracy:
    """The interval over questions beside the spread over seeds."""
    return Accuracy(score.mean, score.low, score.high, spread(means), score.questions)
