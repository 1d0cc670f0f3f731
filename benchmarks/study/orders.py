"""How stable an order of methods is: Kendall's tau between two parts of the seeds."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import combinations
from statistics import fmean
from typing import Any

from scipy import stats

from benchmarks.study.runs import BySeed


def stability(by_method: dict[str, list[BySeed]]) -> dict[str, Any]:
    """τ between the orders by each smaller half of the seeds and by the rest, over every way to halve them.

    Each method has the rewards of its rates; each half chooses its own best ones.
    """
    every = [rate for rates in by_method.values() for rate in rates]
    seeds = sorted(set.intersection(*map(set, every))) if every else []
    taus: list[float] = []
    if len(seeds) < 2 or len(by_method) < 2:
        return {"seeds": len(seeds), "methods": len(by_method), "tau": None}
    for half in combinations(seeds, len(seeds) // 2):
        rest = [seed for seed in seeds if seed not in half]
        sides = [[at_best(rates, side) for rates in by_method.values()] for side in (half, rest)]
        taus.append(tau(*sides))
    return {
        "seeds": len(seeds),
        "halves": [len(half), len(rest)],
        "methods": len(by_method),
        "tau": fmean(taus),
        "lowest": min(taus),
    }


def at_best(rates: Iterable[BySeed], seeds: Iterable[int]) -> float:
    """The mean over some seeds at the rate that is best over them."""
    chosen = list(seeds)
    return max(fmean(rate[seed] for seed in chosen) for rate in rates)


def tau(first: Iterable[float], second: Iterable[float]) -> float:
    """Kendall's τ_b of two orders."""
    return float(stats.kendalltau(list(first), list(second)).statistic)
