"""When a claim counts as seen: paired differences over seeds, corrected for how many were asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Literal

from benchmarks.rows import mean_and_interval
from benchmarks.study.runs import BySeed
from stiefel.report.pairs import chance, holm

Verdict = Literal["seen here", "not seen here", "not decidable here"]
LEVEL = 0.05  # over all comparisons together


@dataclass(frozen=True)
class Compared:
    """Differences, seed by seed, that a claim says are above 0.

    `low` and `high` are Student's t at the level at which Holm's method tests this comparison, so that they exclude 0
    exactly where it is decided; None where fewer than two seeds are shared. `most` is the upper end at Bonferroni's
    level, at which all the upper ends hold together whatever was decided: Holm's levels are for tests of 0. `bounded`
    says of each side whether its best rates lie between others: a side whose best rate is its largest may have a better
    one.
    """

    differences: dict[int, float]
    adjusted: float | None = None
    low: float | None = None
    high: float | None = None
    most: float | None = None
    bounded: tuple[bool, bool] = (True, True)

    @property
    def mean(self) -> float | None:
        """Over the seeds."""
        return fmean(self.differences.values()) if self.differences else None


def compared(above: BySeed, below: BySeed) -> Compared:
    """Two sides, paired by the seeds that both have."""
    return Compared({seed: above[seed] - below[seed] for seed in sorted(above.keys() & below.keys())})


def corrected(found: Sequence[Compared]) -> list[Compared]:
    """Every comparison with its p and interval, corrected for their number. Source: Holm, Scand. J. Statist. 6 (1979).

    The k-th smallest of m p-values is tested at LEVEL/(m − k + 1) until one is not below; all that come after have that
    one's level.
    """
    places = [place for place, one in enumerate(found) if len(one.differences) > 1]
    chances = {place: chance(list(found[place].differences.values())) for place in places}
    adjusted = dict(zip(places, holm([chances[place] for place in places]), strict=True))
    done = list(found)
    level = LEVEL
    rejected = True
    for rank, place in enumerate(sorted(places, key=chances.__getitem__)):
        if rejected:
            level = LEVEL / (len(places) - rank)
        rejected = rejected and adjusted[place] < LEVEL
        values = list(found[place].differences.values())
        low, high = t_interval(values, level)
        _, most = t_interval(values, LEVEL / len(places))
        done[place] = replace(found[place], adjusted=adjusted[place], low=low, high=high, most=most)
    return done


def t_interval(values: Sequence[float], level: float = LEVEL) -> tuple[float, float]:
    """Student's interval of a mean, for a chance of `level` to miss it."""
    mean, half = mean_and_interval(values, 1 - level)
    return mean - half, mean + half


def verdict(by_model: Sequence[Compared], margin: float) -> Verdict:
    """Seen where it is decided on a model and no model decides against it.

    Else not seen where one decides against it, or where all that the difference may be on every model that was asked
    lies below the margin: too small to be what is claimed. Where the lower side may have a better rate nothing is
    seen, where the upper side may nothing is not seen.
    """
    lows = [one.low for one in by_model if one.low is not None and one.bounded[1]]
    against = is_against(by_model)
    if any(low > 0 for low in lows):
        return "not decidable here" if against else "seen here"
    mosts = [(one.most, one.bounded[0]) for one in by_model if one.most is not None]
    small = bool(mosts) and all(most < margin and bounded for most, bounded in mosts)
    return "not seen here" if against or small else "not decidable here"


def is_against(by_model: Sequence[Compared]) -> bool:
    """Whether a model decides that a claim is the other way round."""
    return any(one.high is not None and one.bounded[0] and one.high < 0 for one in by_model)
