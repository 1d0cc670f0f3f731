"""Published numbers, each with ours in the same metric and unit where it was measured."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..recipe import AVERAGE, BASE, ExpectedSettings, Recipe
from ..report import Run, label_of
from .work import Work

NOT_MEASURED = "not measured here"


@dataclass(frozen=True)
class Number:
    """Mean and, from two seeds on, sample standard deviation."""

    mean: float
    spread: float | None = None
    seeds: int = 1


@dataclass(frozen=True)
class Pair:
    """A published number of a method, a model or a run, and ours."""

    of: str
    figure: str  # math500
    metric: str  # pass@4
    unit: str  # %
    published: Number | None  # None: of ours alone
    ours: Number | None
    why: str = ""  # there is none of ours, or no difference
    changed: bool = False  # ours has other settings than the published one

    @property
    def difference(self) -> float | None:
        """Ours less the published one, of the same settings."""
        if self.ours is None or self.published is None or self.changed:
            return None
        return self.ours.mean - self.published.mean

    def to_json(self) -> dict[str, Any]:
        """For reproduction.json."""
        return {
            "of": self.of,
            "figure": self.figure,
            "metric": self.metric,
            "unit": self.unit,
            "published": as_json(self.published),
            "ours": as_json(self.ours),
            "difference": self.difference,
            "why": self.why,
        }


def as_json(number: Number | None) -> dict[str, Any] | None:
    """A number, or null."""
    return None if number is None else {"mean": number.mean, "spread": number.spread, "seeds": number.seeds}


def over_seeds(values: Sequence[float]) -> Number | None:
    """Mean and spread, of nothing none."""
    if not values:
        return None
    return Number(statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None, len(values))


def score_pairs(work: Work, runs: Sequence[Run]) -> list[Pair]:
    """Every score of [expected] in the paper's profile, method by method, the base first.

    Ours stand beside them where this is the paper's profile: what a smaller model scores on other questions is no
    reproduction of the same thing, and stands by itself.
    """
    pairs = []
    for method, expected in published_by_method(work.published.values()).items():
        of_method = [run for run in runs if method in (BASE, run.method)]
        for task, score in expected.of(method).items():
            metric = "mean" if task == AVERAGE else expected.metric_of(task)
            ours = over_seeds(measured(of_method, task, expected, base=method == BASE)) if work.is_papers else None
            pairs.append(
                Pair(
                    of=method,
                    figure=task,
                    metric=metric,
                    unit="%",
                    published=in_percent(Number(score.mean, score.spread)),
                    ours=in_percent(ours),
                    why=why_not(work) if ours is None else other_settings(work),
                    changed=bool(work.changes),
                )
            )
    return pairs


def published_by_method(recipes: Iterable[Recipe]) -> dict[str, ExpectedSettings]:
    """Method → the settings that hold its scores; the base first, then as the runs come, without repetitions."""
    found: dict[str, ExpectedSettings] = {}
    for recipe in recipes:
        expected = recipe.expected
        names = [name for name in expected.scores if isinstance(expected.scores[name], Mapping)]
        for method in (*(name for name in names if name == BASE), *(name for name in names if name != BASE)):
            found.setdefault(method, expected)
    return found


def measured(runs: Iterable[Run], task: str, expected: ExpectedSettings, *, base: bool = False) -> list[float]:
    """One value a finished run that has it: a task's score in the published metric, or the average of several."""
    values = []
    for run in runs:
        found = [task_score(run, one, expected.metric_of(one), base=base) for one in parts(task, expected)]
        known = [value for value in found if value is not None]
        if found and len(known) == len(found):
            values.append(statistics.fmean(known))
    return values


def parts(task: str, expected: ExpectedSettings) -> list[str]:
    """The tasks whose mean a score is."""
    return expected.average_of if task == AVERAGE else [task]


def task_score(run: Run, task: str, metric: str, *, base: bool = False) -> float | None:
    """avg, or pass@k of so many samples as were drawn at least."""
    scores = run.scores.get(task)
    if scores is None or not run.finished:
        return None
    if metric == "avg":
        return scores.before.mean if base else scores.after.mean
    at_k = scores.pass_at.get(int(metric.removeprefix("pass@")))
    return None if at_k is None else (at_k.before.mean if base else at_k.after.mean)


def in_percent(number: Number | None) -> Number | None:
    """A fraction as the papers print it."""
    if number is None:
        return None
    return Number(100 * number.mean, None if number.spread is None else 100 * number.spread, number.seeds)


def why_not(work: Work) -> str:
    """Why there is nothing of ours beside a published number."""
    return NOT_MEASURED if work.is_papers else f"{NOT_MEASURED}: the profile {work.profile} is of another model"


def other_settings(work: Work) -> str:
    """Why there is no difference beside a number of ours; nothing where there is one."""
    return f"not the published settings: {', '.join(work.changes)}" if work.changes else ""


def own_scores(runs: Sequence[Run]) -> list[Pair]:
    """What was measured, whatever was published: each variant's tasks after training, over its seeds."""
    pairs = []
    for label, group in by_variant(runs):
        for task in dict.fromkeys(task for run in group for task in run.scores):
            values = [value for run in group if (value := task_score(run, task, "avg")) is not None]
            pairs.append(Pair(label, task, "avg", "%", None, in_percent(over_seeds(values))))
    return pairs


def by_variant(runs: Sequence[Run]) -> Iterator[tuple[str, list[Run]]]:
    """Runs that differ in their seeds alone, by what tells them from others."""
    labels = label_of(runs)
    for label in dict.fromkeys(labels.values()):
        yield label, [run for run in runs if labels[run.name] == label]
