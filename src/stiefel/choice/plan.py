"""How a budget of rollouts is spent: the rungs, how long each is, how many seeds the last candidates get.

Rewards of a few rollouts are noisy (a rollout of the embedded model is 64 completions to 8 prompts), and a rate that is
too large for a method often rises first and breaks later, while a small one starts slowly. So a plan

- halves, in place of the usual thirds or quarters: a candidate must be worse than half of what is left to be dropped;
- makes the first rung as long as the budget allows, and pays for further seeds only where it is a quarter of a run at
  least: on curves of the embedded model with rates up to 3e-3, first rungs of a fifth of a run or less let candidates
  through that broke later, and lost good ones, while further seeds of finalists hardly changed how good a winner is;
- lets its rungs grow by a constant factor up to the whole length, so that each looks at rollouts which none before saw;
- compares the later half of what a rung has, where the first, which all begin alike, says nothing;
- names no winner that has not come to its end: what breaks late is seen to break.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..errors import UserError
from .candidates import Candidate, all_rollouts, longest_of

FINALISTS = 3  # at most so many are compared to their end, where the budget is no larger than it must be
EARLIEST = 4  # further seeds are paid for where the first rung is still one in so many rollouts of a run, or more


@dataclass(frozen=True)
class Plan:
    """The rungs: after how many rollouts of the longest run so many candidates are compared; the last are finalists."""

    places: tuple[int, ...]
    counts: tuple[int, ...]
    seeds: int  # of each finalist, the one that was compared from the first rung on among them

    def factor(self, rung: int) -> int:
        """Of the candidates of a rung that is not the last one in so many goes on."""
        return self.counts[rung] // self.counts[rung + 1]

    def cost(self, candidates: Sequence[Candidate]) -> int:
        """The rollouts that it takes at most, whichever candidates go on."""
        longest, before, total = longest_of(candidates), 0, 0
        for place, count in zip(self.places, self.counts, strict=True):
            parts = (each.by(place, longest) - each.by(before, longest) for each in candidates)
            total += sum(sorted(parts, reverse=True)[:count])
            before = place
        further = (each.rollouts * (min(self.seeds, len(each.runs)) - 1) for each in candidates)
        return total + sum(sorted(further, reverse=True)[: self.counts[-1]])


def make_plan(candidates: Sequence[Candidate], budget: float) -> Plan:
    """The best plan that a share of the grid's rollouts pays for; raises UserError where it pays for none."""
    if not 0 < budget <= 1:  # NaN too
        raise UserError(
            f"--budget {budget:g} is no part of the grid's rollouts",
            "it is the share of them that may be done, above 0 and at most 1",
            "--budget 0.2",
        )
    total, least = all_rollouts(candidates), None
    allowed = rollouts_of(budget, total)
    for plan in plans(candidates):
        cost = plan.cost(candidates)
        if cost <= allowed:
            return plan
        least = min(cost, least or cost)
    assert least is not None
    raise UserError(
        f"--budget {budget:g} is {allowed} of the grid's {total} rollouts, too few for a first rung",
        f"one rollout of each of {len(candidates)} candidates is the least that can be compared",
        f"--budget {math.ceil(1e4 * least / total) / 1e4:g} or more; 0.2 is a usual one",
    )


def rollouts_of(budget: float, total: int) -> int:
    """The whole rollouts in a share of all; a share that is one but for its rounding is that."""
    return math.floor(budget * total + 1e-9)


def plans(candidates: Sequence[Candidate]) -> Iterator[Plan]:
    """Every plan, the best first.

    Where all candidates can come to their end: as many finalists with every seed as there can be. Else few finalists,
    with every seed if the first rung is then long enough, with fewer if not, and with as long a first rung as there can
    be. Last, with a budget that pays for no run's end, as long a way as there can be.
    """
    count, longest = len(candidates), longest_of(candidates)
    most = max(len(candidate.runs) for candidate in candidates)
    counts = halved(count)
    for length in range(1, len(counts)):
        yield Plan((longest,) * length, counts[:length], most)
    enough = math.ceil(longest / EARLIEST)
    for seeds in range(most, 0, -1):
        for first in range(longest, enough - 1, -1):
            yield Plan(rungs(first, longest, len(counts)), counts, seeds)
    for first in range(enough - 1, 0, -1):
        yield Plan(rungs(first, longest, len(counts)), counts, 1)
    for last in range(longest - 1, 0, -1):
        yield Plan(rungs(math.ceil(last / EARLIEST), last, len(counts)), counts, 1)


def halved(count: int) -> tuple[int, ...]:
    """How many candidates each rung has: 18, 9, 4, 2. Of six or seven a third goes on, where a half would leave three.

    Two are compared at the end, for each of whom there are then seeds: three would be halved to one.
    """
    counts = [count]
    while counts[-1] > FINALISTS:
        counts.append(counts[-1] // (3 if counts[-1] in (6, 7) else 2))
    return tuple(counts)


def rungs(first: int, last: int, count: int) -> tuple[int, ...]:
    """So many places from the first to the last, each about the same factor above the one before."""
    if count == 1:
        return (last,)
    return tuple(round(first * (last / first) ** (number / (count - 1))) for number in range(count))
