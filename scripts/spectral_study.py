"""The kept results of the spectra, and how a question of them is decided: intervals over seeds against a bound."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from scipy import stats

Verdict = Literal["appears", "does not appear", "in part", "not decided", "cannot be asked here"]
EVERY, PAPER, TRAINING = "all", "q and o", "training"  # all matrices, those of Fig. 3, the run's journals


@dataclass(frozen=True)
class Interval:
    """A mean over seeds with its 95% t-interval."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:.3g} [{self.low:.3g}, {self.high:.3g}]"

    def map(self, function: Callable[[float], float]) -> Interval:
        """The same through an increasing function."""
        return Interval(function(self.mean), function(self.low), function(self.high))


def interval(values: Sequence[float]) -> Interval:
    """Mean ± t(0.975, n − 1)·s/√n; of one seed there is no interval, so that nothing is decided by it."""
    mean = statistics.fmean(values)
    if len(values) < 2:
        return Interval(mean, -math.inf, math.inf)
    half = float(stats.t.ppf(0.975, len(values) - 1)) * statistics.stdev(values) / len(values) ** 0.5
    return Interval(mean, mean - half, mean + half)


def ratio(over: Sequence[float], under: Sequence[float]) -> Interval:
    """The geometric mean of the seeds' ratios, with an interval on a logarithmic scale."""
    return interval([math.log(first / second) for first, second in zip(over, under, strict=True)]).map(math.exp)


@dataclass(frozen=True)
class Finding:
    """One question's answer: what was measured, beside what."""

    of: str
    measured: str
    verdict: Verdict


def above(of: str, found: Interval, bound: float, beside: str) -> Finding:
    """Appears where the whole interval is above the bound."""
    verdict: Verdict = "appears" if found.low > bound else "does not appear" if found.high < bound else "not decided"
    return Finding(of, f"{found}; {beside} {bound:.3g}", verdict)


def below(of: str, found: Interval, bound: float, beside: str) -> Finding:
    """Appears where the whole interval is below the bound."""
    verdict: Verdict = "appears" if found.high < bound else "does not appear" if found.low > bound else "not decided"
    return Finding(of, f"{found}; {beside} {bound:.3g}", verdict)


class Study:
    """The kept results of `benchmarks.spectra`."""

    def __init__(self, results: dict[str, Any]) -> None:
        self.results = results
        self.base: dict[str, float] = results["base"]

    def variants(self, method: str) -> list[dict[str, Any]]:
        """A method at each of its rates."""
        return [one for one in self.results["variants"] if one["method"] == method]

    def values(self, method: str, figure: str, scope: str = EVERY) -> list[float]:
        """The seeds' values of a method that ran at one rate."""
        (variant,) = self.variants(method)
        return list(variant[scope][figure]["values"])

    def of(self, method: str, figure: str, scope: str = EVERY) -> Interval:
        """Over seeds."""
        return interval(self.values(method, figure, scope))

    def mean(self, method: str, figure: str, scope: str = EVERY) -> float:
        """The mean over seeds."""
        return statistics.fmean(self.values(method, figure, scope))

    def ratio(self, method: str, other: str, figure: str, scope: str = EVERY) -> Interval:
        """The ratio of two methods' figures, seed by seed, on a logarithmic scale."""
        return ratio(self.values(method, figure, scope), self.values(other, figure, scope))

    def ratio_within(self, method: str, figure: str, other: str, scope: str = EVERY) -> Interval:
        """The ratio of two figures of one method, in the same way."""
        return ratio(self.values(method, figure, scope), self.values(method, other, scope))


def together(findings: Sequence[Finding]) -> Verdict:
    """What all answers say; in part where each is decided and they differ; not decided where one is not."""
    verdicts = {finding.verdict for finding in findings}
    if len(verdicts) == 1:
        return verdicts.pop()
    return "in part" if verdicts == {"appears", "does not appear"} else "not decided"
