"""The difference of every two methods at their best rates, paired by seed and question."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from statistics import fmean, stdev

from scipy import stats

from ..scores import paired_difference
from .ranking import ROUNDING, Cell, Ranking, alike, t_interval

SURE = 0.05  # the chance, over all comparisons together, of favouring one where there is nothing to favour


@dataclass(frozen=True)
class Pair:
    """How far the higher of two methods is above the other, in the seeds that both have.

    Where one lost a seed, the higher one may stand below in the order, which is by the means over all seeds of each.
    The interval holds for other seeds on these questions and for other questions with these seeds: it goes as far as
    the further of the two at either end. `p` is the larger of the two chances of a difference this large by luck, and
    `adjusted` the same after Holm's correction for all pairs; None where one seed is shared, which decides nothing.
    """

    higher: Cell
    lower: Cell
    difference: float
    low: float | None
    high: float | None
    seeds: tuple[int, ...]
    ahead: int  # seeds in which the higher one was
    questions: int
    p: float | None
    spread: float | None  # standard deviation of the seeds' differences; None of one seed, and where they agree
    adjusted: float | None = None

    def of(self, cell: Cell) -> bool:
        """Whether a method is one of the two."""
        return cell is self.higher or cell is self.lower

    @property
    def decided(self) -> bool:
        """Whether the numbers favour the higher one."""
        return self.adjusted is not None and self.adjusted < SURE


def pairs(ranking: Ranking) -> tuple[Pair, ...]:
    """Every two methods that share a seed, the one first that is ahead there; of equal ones as in the order."""
    found = [
        one if one.difference >= -ROUNDING else pair(second, first, ranking)
        for first, second in combinations(ranking.best, 2)
        if first.scores.keys() & second.scores.keys()
        for one in (pair(first, second, ranking),)
    ]
    known = [one.p for one in found if one.p is not None]
    adjusted = iter(holm(known))
    return tuple(replace(one, adjusted=next(adjusted)) if one.p is not None else one for one in found)


def pair(higher: Cell, lower: Cell, ranking: Ranking) -> Pair:
    """The mean over questions of each seed's differences, then over seeds; and the other way round."""
    seeds = tuple(sorted(higher.scores.keys() & lower.scores.keys()))
    items = sorted(set.intersection(*(set(cell.scores[seed]) for cell in (higher, lower) for seed in seeds)))
    above = [fmean(higher.scores[seed][item] for seed in seeds) for item in items]
    below = [fmean(lower.scores[seed][item] for seed in seeds) for item in items]
    by_seed = [fmean(higher.scores[seed][item] - lower.scores[seed][item] for item in items) for seed in seeds]
    intervals, chances = [], []
    least, most = ranking.measure.span
    if (over_seeds := t_interval(by_seed, least - most, most - least)) is not None:
        intervals.append(over_seeds)
    if ranking.measure.of_questions and len(items) > 1:
        over_questions = paired_difference(below, above)
        intervals.append((over_questions.low, over_questions.high))
        chances.append(chance([a - b for a, b in zip(above, below, strict=True)]))
    if len(seeds) > 1 and not (chances and alike(by_seed)):  # seeds that agree to the digit leave it to the questions
        chances.append(chance(by_seed))
    return Pair(
        higher,
        lower,
        0.0 if abs(fmean(by_seed)) <= ROUNDING else fmean(by_seed),
        min((low for low, _ in intervals), default=None),
        max((high for _, high in intervals), default=None),
        seeds,
        ahead=sum(one > ROUNDING for one in by_seed),
        questions=len(items) if ranking.measure.of_questions else 0,
        p=max(chances) if len(seeds) > 1 else None,
        spread=None if len(seeds) < 2 or alike(by_seed) else stdev(by_seed),
    )


def chance(differences: Sequence[float]) -> float:
    """Two-sided p of Student's t for a mean of 0; of n differences that are all alike, that of n equal signs."""
    if alike(differences):
        return min(1.0, 2 * 0.5 ** len(differences)) if abs(differences[0]) > ROUNDING else 1.0
    return float(stats.ttest_1samp(differences, 0.0).pvalue)


def holm(chances: Sequence[float]) -> list[float]:
    """p-values corrected for their number. Source: Holm, Scandinavian Journal of Statistics 6 (1979) 65–70."""
    adjusted, least = [0.0] * len(chances), 0.0
    for rank, place in enumerate(sorted(range(len(chances)), key=lambda place: chances[place])):
        least = max(least, min(1.0, (len(chances) - rank) * chances[place]))
        adjusted[place] = least
    return adjusted
