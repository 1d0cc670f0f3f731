"""Runs → one row per method and group of runs, as those of a learning rate; pure."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from ..recipe import AVERAGE, BASE, ExpectedSettings
from ..scores import Score, accuracy, by_question, grouped, paired_difference, pass_chance, right
from .runs import Compared, Grade, Manifest, Run
from .series import Series, ordered, series_of

WINDOW = 5  # rollouts whose mean is the first and the last reward; half of the run's, where these are fewer


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
class Change:
    """A score before and after training, and the paired difference on the same questions."""

    before: Accuracy
    after: Accuracy
    gain: Accuracy


@dataclass(frozen=True)
class TaskFigures(Change):
    """A task's avg@n, and its pass@k of some k up to n."""

    passes: dict[int, Change]

    def of(self, metric: str) -> Change | None:
        """That of avg or pass@k; None where it was not measured, as pass@k of more than n samples."""
        return self if metric == "avg" else self.passes.get(int(metric.removeprefix("pass@")))


@dataclass(frozen=True)
class Beside:
    """A published score, before training where that is known too, and ours in the same metric where it was measured."""

    metric: str  # avg, pass@k, or mean: of several tasks, each in its own metric
    before: Figure | None
    after: Figure
    our_before: float | None
    our_after: float | None


@dataclass(frozen=True)
class TableRow:
    """One method (in one variant) at one learning rate, or at its own, over its finished seeds."""

    series: Series
    lr: float  # the lowest, where a rule gave the seeds rates of their own
    rates: tuple[float, ...]
    task: str
    trained: tuple[str, ...]  # the same, or the tasks of a mixture
    seeds: tuple[int, ...]
    unfinished: tuple[str, ...]  # names of runs that are left out
    first_reward: Figure
    last_reward: Figure
    peak_grad_norm: Figure
    kl_base: Figure
    truncated: Figure  # share of the last rollouts' completions
    kl_update: Figure  # of the dearest update, where optim.kl_cap measured it
    capped: Figure  # share of the updates that the cap shortened
    validation: Figure  # after training, on a validation split
    tasks: dict[str, TaskFigures]
    published: dict[str, Beside]
    trainable_parameters: int | None
    trained_share: float | None  # of the base model's parameters
    peak_memory: Figure  # bytes
    not_applicable: tuple[str, ...]
    seconds: Figure


def table(runs: Sequence[Run]) -> list[TableRow]:
    """One row per group and series, rates ascending."""
    series = series_of(runs)
    return [
        row(one, [run for run in runs if series[run.name] == one and run.group == group])
        for group in sorted({run.group for run in runs})
        for one in ordered(series[run.name] for run in runs if run.group == group)
    ]


def row(series: Series, runs: Sequence[Run]) -> TableRow:
    """Average the finished runs of one cell."""
    done = sorted((run for run in runs if run.finished), key=lambda run: run.seed)
    trained = runs[0].trained
    measured = [name for name in done[0].scores if all(name in run.scores for run in done)] if done else []
    mixed = len(trained) > 1 and set(trained) <= set(measured)
    answers = [run.kept.grades for run in done] if len(done) > 1 or mixed else [[] for _ in done]
    whole = {runs[0].task: mixture_figures(trained, done, answers)} if mixed else {}
    tasks = whole | {name: task_figures(name, done, answers) for name in measured}
    counts = done[0].manifest if done else None
    return TableRow(
        series=series,
        lr=min(run.lr for run in runs),
        rates=tuple(sorted({run.lr for run in runs})),
        task=runs[0].task,
        trained=trained,
        seeds=tuple(run.seed for run in done),
        unfinished=tuple(run.name for run in runs if not run.finished),
        first_reward=over_seeds(done, "reward", lambda values: ends(values)[0]),
        last_reward=over_seeds(done, "reward", lambda values: ends(values)[1]),
        peak_grad_norm=over_seeds(done, "grad_norm", peak),
        kl_base=over_seeds(done, "kl_base", lambda values: values[-1]),
        truncated=over_seeds(done, "truncated_fraction", lambda values: ends(values)[1]),
        kl_update=over_seeds(done, "kl_update", max),
        capped=over_seeds(done, "capped_updates", partial(per_update, runs[0].recipe.optim.updates_per_rollout)),
        validation=on_validation(done),
        tasks=tasks,
        published=beside(runs[0], tasks),
        trainable_parameters=counts.trainable_parameters if counts else None,
        trained_share=share(counts) if counts else None,
        peak_memory=over_seeds(done, "peak_memory_bytes", max),
        not_applicable=done[0].manifest.not_applicable if done else (),
        seconds=over_seeds(done, "seconds", sum),
    )


def share(counts: Manifest) -> float | None:
    """Trained parameters over the base model's, 1 where all of them train; None of runs that did not count them."""
    if not counts.base_parameters or counts.trainable_parameters is None:
        return None
    return counts.trainable_parameters / counts.base_parameters


def beside(run: Run, tasks: Mapping[str, TaskFigures]) -> dict[str, Beside]:
    """What the recipe's `[expected]` says of this method, each with ours where it was measured."""
    expected = run.recipe.expected
    of_base = expected.of(BASE)
    found = {}
    for task, score in expected.of(run.method).items():
        mine = [expected_of(one, tasks, expected.metric_of(one)) for one in parts_of(task, expected)]
        known = [one for one in mine if one is not None]
        whole = len(known) == len(mine)
        found[task] = Beside(
            metric="mean" if task == AVERAGE else expected.metric_of(task),
            before=Figure(*of_base[task]) if task in of_base else None,
            after=Figure(*score),
            our_before=statistics.fmean(one.before.mean for one in known) if known and whole else None,
            our_after=statistics.fmean(one.after.mean for one in known) if known and whole else None,
        )
    return found


def parts_of(task: str, expected: ExpectedSettings) -> list[str]:
    """The tasks that a score is the mean of: one, but for the average."""
    return expected.average_of if task == AVERAGE else [task]


def expected_of(task: str, tasks: Mapping[str, TaskFigures], metric: str) -> Change | None:
    """Ours in the metric that was published."""
    return tasks[task].of(metric) if task in tasks else None


def window_of(rollouts: int) -> int:
    """How many rollouts the first and the last reward are means of."""
    return max(1, min(WINDOW, rollouts // 2))


def ends(values: Sequence[float]) -> tuple[float, float]:
    """The means of the first and of the last rollouts, of no rollout in both unless there is one alone."""
    window = window_of(len(values))
    return statistics.fmean(values[:window]), statistics.fmean(values[-window:])


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


def on_validation(runs: Sequence[Run]) -> Figure:
    """The score after training on the validation split."""
    means = [statistics.fmean(one.after.mean for one in run.validation.values()) for run in runs if run.validation]
    return Figure(statistics.fmean(means), spread(means)) if means else Figure(None)


def per_update(updates: int, counts: Sequence[float]) -> float:
    """Counts of each rollout as a share of all updates."""
    return sum(counts) / (updates * len(counts))


def spread(numbers: Sequence[float]) -> float | None:
    """Sample standard deviation; None for a single number."""
    return statistics.stdev(numbers) if len(numbers) > 1 else None


def task_figures(task: str, runs: Sequence[Run], answers: Sequence[Sequence[Grade]]) -> TaskFigures:
    """One run's own scores; for several seeds, scores of each question's mean over the seeds.

    The seeds answer the same questions, so that the interval is over questions, and `spread` is over seeds.
    """
    scores = [run.scores[task] for run in runs]
    mine = [[answer for answer in found if answer.task == task] for found in answers]
    average = change_over_seeds(scores, mine, question_means)
    passes = {
        k: change_over_seeds([one.pass_at[k] for one in scores], mine, partial(question_chances, k=k))
        for k in sorted(set.intersection(*(set(one.pass_at) for one in scores)))
    }
    return TaskFigures(average.before, average.after, average.gain, passes)


def mixture_figures(parts: Sequence[str], runs: Sequence[Run], answers: Sequence[Sequence[Grade]]) -> TaskFigures:
    """Of a mixture: over the questions of all its tasks, the seeds answering the same ones."""
    mine = [of_parts(found, parts) for found in answers]
    every = (set(run.scores[part].pass_at) for run in runs for part in parts)
    average = change_of_answers(mine, question_means)
    passes = {k: change_of_answers(mine, partial(question_chances, k=k)) for k in sorted(set.intersection(*every))}
    return TaskFigures(average.before, average.after, average.gain, passes)


def of_parts(answers: Sequence[Grade], parts: Sequence[str]) -> list[Grade]:
    """The answers to several tasks' questions, numbered through."""
    numbers: dict[tuple[str, int], int] = {}
    found = []
    for one in answers:
        if one.task in parts and one.when in ("before", "after"):
            number = numbers.setdefault((one.task, one.question), len(numbers))
            found.append(one._replace(question=number))
    return found


def change_of_answers(
    answers: Sequence[Sequence[Grade]], values: Callable[[Sequence[Sequence[Grade]], str], list[float]]
) -> Change:
    """A figure before and after, of what the runs answered."""
    old, new = values(answers, "before"), values(answers, "after")
    seeds = [[statistics.fmean(values([found], when)) for when in ("before", "after")] for found in answers]
    return Change(
        with_spread(accuracy(old), [before for before, _ in seeds]),
        with_spread(accuracy(new), [after for _, after in seeds]),
        with_spread(paired_difference(old, new), [after - before for before, after in seeds]),
    )


def change_over_seeds(
    scores: Sequence[Compared],
    answers: Sequence[Sequence[Grade]],
    values: Callable[[Sequence[Sequence[Grade]], str], list[float]],
) -> Change:
    """A figure before and after; `values` gives each question's over all seeds, where there are several."""
    if len(scores) == 1:
        before, after, gain = scores[0].before, scores[0].after, scores[0].difference
    else:
        old, new = values(answers, "before"), values(answers, "after")
        before, after, gain = accuracy(old), accuracy(new), paired_difference(old, new)
    return Change(
        with_spread(before, [score.before.mean for score in scores]),
        with_spread(after, [score.after.mean for score in scores]),
        with_spread(gain, [score.difference.mean for score in scores]),
    )


def question_means(answers: Sequence[Sequence[Grade]], when: str) -> list[float]:
    """Each question's mean score over samples and seeds."""
    return by_question(pair for found in answers for pair in graded(found, when))


def question_chances(answers: Sequence[Sequence[Grade]], when: str, *, k: int) -> list[float]:
    """Each question's pass@k, estimated of each seed's samples and averaged over the seeds."""
    return by_question(
        (question, pass_chance(len(scores), right(scores), k))
        for found in answers
        for question, scores in grouped(graded(found, when)).items()
    )


def graded(answers: Sequence[Grade], when: str) -> list[tuple[int, float]]:
    """(question, score) of one phase's samples that have a score."""
    return [(one.question, one.score) for one in answers if one.when == when and one.score is not None]


def with_spread(score: Score, means: Sequence[float]) -> Accuracy:
    """The interval over questions beside the spread over seeds."""
    return Accuracy(score.mean, score.low, score.high, spread(means), score.questions)
