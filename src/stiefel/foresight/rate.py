"""The learning rate at which one step costs a given KL, by taking steps: KL ~ η² says where to look next."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

TOLERANCE = 0.02  # |KL/K − 1| at which a rate is good
MOST_STEPS = 40
FURTHEST = 100.0  # times the rate, or a part of it, from one trial to the next
LARGEST, SMALLEST = 1e3, 1e-12  # rates beyond which nobody looks
NARROW = 1e-4  # relative width of a bracket in which the KL jumps


@dataclass(frozen=True)
class Spent:
    """A rate and the KL measured there; `why` says why the budget could not be met, and then both are the nearest."""

    rate: float
    kl: float
    why: str = ""

    @property
    def reached(self) -> bool:
        """True where the KL is the budget, within the tolerance."""
        return not self.why


def rate_for(kl_at: Callable[[float], float], budget: float, rate: float, kl: float) -> Spent:
    """A rate with |KL/K − 1| ≤ 2%, from a first one and its KL, each trial a step that is taken and measured.

    log KL is close to linear in log η, of slope 2 while steps are small, so the next rate is η·√(K/KL) while K is on
    one side of all trials, then the secant's in log-log, or the bracket's middle where that does not shrink it. A KL
    that is not finite counts as above K. Cost: a step and a forward pass a trial, about three where KL ~ η² holds.
    """
    assert budget > 0
    assert rate > 0
    below: tuple[float, float] | None = None
    above: tuple[float, float] | None = None
    nearest = Spent(rate, kl)
    for trial in range(MOST_STEPS):
        if math.isfinite(kl) and (not math.isfinite(nearest.kl) or off(kl, budget) < off(nearest.kl, budget)):
            nearest = Spent(rate, kl)
        if math.isfinite(kl) and abs(kl / budget - 1) <= TOLERANCE:
            return Spent(rate, kl)
        if math.isfinite(kl) and kl < budget:
            below = (rate, kl)
        else:
            above = (rate, kl)
        if below and above and above[0] / below[0] < 1 + NARROW:
            return missed(nearest, f"the KL jumps from {below[1]:.3g} to {above[1]:.3g} at this rate")
        following = next_rate(below, above, budget, trial)
        if not SMALLEST <= following <= LARGEST:
            side = "more than" if above is None else "less than"
            return missed(nearest, f"no step between the rates {SMALLEST:g} and {LARGEST:g} costs {side} this")
        rate, kl = following, kl_at(following)
    return missed(nearest, f"{MOST_STEPS} trials came no nearer")


def next_rate(below: tuple[float, float] | None, above: tuple[float, float] | None, budget: float, trial: int) -> float:
    """Where to look next."""
    if below is None or above is None:
        rate, kl = below or above or (1.0, 1.0)
        if not math.isfinite(kl):
            return rate / 10
        factor = math.sqrt(budget / kl) if kl > 0 else FURTHEST
        return rate * min(max(factor, 1 / FURTHEST), FURTHEST)
    middle = math.sqrt(below[0] * above[0])
    if trial % 3 == 2 or not math.isfinite(above[1]) or below[1] <= 0:  # every third time: the secant may crawl
        return middle
    share = math.log(budget / below[1]) / math.log(above[1] / below[1])
    return float(below[0] * (above[0] / below[0]) ** share)


def off(kl: float, budget: float) -> float:
    """How far a KL is from the budget: the logarithm of their ratio."""
    return abs(math.log(kl / budget)) if kl > 0 else math.inf


def missed(nearest: Spent, why: str) -> Spent:
    """The nearest, and why it is not there."""
    return Spent(nearest.rate, nearest.kl, why)
