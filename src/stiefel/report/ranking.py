"""Each method at each rate, its best rate, and the order of the methods there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean, stdev

from scipy import stats

from ..scores import CONFIDENCE, accuracy
from .groups import Group
from .outcomes import Outcomes, Scores, outcomes
from .rate_rule import RateRule
from .runs import Run
from .series import Series, ordered, series_of

ROUNDING = 1e-12  # of means of scores


@dataclass(frozen=True)
class Estimate:
    """A mean with its 95% interval, and what that is over: other seeds, other questions, or nothing (no interval)."""

    mean: float
    low: float
    high: float
    over: str


@dataclass(frozen=True)
class Cell:
    """One method at one rate: the scores of its finished seeds, and the runs that have none."""

    series: Series
    group: Group
    rates: tuple[float, ...]
    scores: Mapping[int, Scores]  # by seed
    runs: tuple[Run, ...]
    span: tuple[float, float]  # of what a score can be

    @property
    def means(self) -> dict[int, float]:
        """Each seed's mean over its questions."""
        return {seed: fmean(scores.values()) for seed, scores in self.scores.items()}

    @property
    def lost(self) -> list[str]:
        """The runs that are not finished."""
        return [run.name for run in self.runs if not run.finished]

    @cached_property
    def estimate(self) -> Estimate:
        """A t interval over seeds; over questions where there is one seed, or where the seeds agree to the digit."""
        means = list(self.means.values())
        over_seeds = t_interval(means, *self.span)
        if over_seeds is not None:
            return Estimate(fmean(means), *over_seeds, "seeds")
        items = list(next(iter(self.scores.values())))
        if len(items) < 2:
            return Estimate(fmean(means), fmean(means), fmean(means), "")
        score = accuracy([fmean(scores[item] for scores in self.scores.values()) for item in items])
        return Estimate(score.mean, score.low, score.high, "questions")


@dataclass(frozen=True)
class Ranking:
    """Every cell with a finished run, and of each method the best of those that have the measure, highest first."""

    measure: Outcomes
    cells: tuple[Cell, ...]
    best: tuple[Cell, ...]
    without: tuple[Series, ...]  # methods without the measure

    @property
    def at(self) -> str:
        """At which of its rates a method is taken."""
        return "its best rate" if any(len(self.rates_of(cell.series)) > 1 for cell in self.best) else "its own rate"

    def rates_of(self, series: Series) -> list[Cell]:
        """A method's cells."""
        return [cell for cell in self.cells if cell.series == series]


def ranking(runs: Sequence[Run], rule: RateRule | None = None) -> Ranking | str:
    """The order of the methods, each at its best rate, or why there is none."""
    measure = outcomes(runs, rule)
    if isinstance(measure, str):
        return measure
    names = series_of(runs)
    groups = sorted({run.group for run in runs})
    found = [
        cell_of(one, group, [run for run in runs if names[run.name] == one and run.group == group], measure)
        for one in ordered(names.values())
        for group in groups
    ]
    cells = [cell for cell in found if any(run.finished for run in cell.runs)]
    measured = [cell for cell in cells if cell.scores]
    with_scores = ordered(cell.series for cell in measured)
    best = [best_of([cell for cell in measured if cell.series == one], rule) for one in with_scores]
    best.sort(key=lambda cell: -cell.estimate.mean)
    without = [one for one in ordered(names.values()) if one not in with_scores]
    return Ranking(measure, tuple(cells), tuple(best), tuple(without))


def cell_of(series: Series, group: Group, runs: Sequence[Run], measure: Outcomes) -> Cell:
    """The runs of one method in one group."""
    done = sorted((run for run in runs if run.name in measure.scores), key=lambda run: run.seed)
    rates = tuple(sorted({run.lr for run in runs}))
    scores = {run.seed: measure.scores[run.name] for run in done}
    return Cell(series, group, rates, scores, tuple(runs), measure.span)


def best_of(cells: Sequence[Cell], rule: RateRule | None) -> Cell:
    """The rate that was chosen on a validation, else the one with the highest mean among those with most seeds.

    A rate that lost a run is no better for it: its mean is of those that survived.
    """
    chosen = [cell for cell in cells if rule is not None and any(run.name in rule.chosen for run in cell.runs)]
    return max(chosen or cells, key=lambda cell: (len(cell.scores), cell.estimate.mean))


def t_interval(values: Sequence[float], least: float, most: float) -> tuple[float, float] | None:
    """Student's 95% interval of a mean that lies between two bounds; None of one value, and of values all alike."""
    if len(values) < 2 or alike(values):
        return None
    spread = stdev(values)
    low, high = stats.t.interval(CONFIDENCE, len(values) - 1, loc=fmean(values), scale=spread / len(values) ** 0.5)
    return max(float(low), least), min(float(high), most)


def alike(values: Sequence[float]) -> bool:
    """Whether they differ by no more than rounding, which says nothing of how far they vary."""
    return max(values) - min(values) <= ROUNDING
