"""How stable an order of methods is: Kendall's tau between two parts of the seeds."""

from __future__ import annotations

from itertools import combinations
from statistics import fmean
from typing import Any

from scipy import stats

from benchmarks.study.runs import BySeed


def stability(by_method: dict[str, BySeed]) -> dict[str, Any]:
    """τ between the orders by each half of the seeds and by the other half, over every way to halve them."""
    seeds = sorted(set.intersection(*(set(one) for one in by_method.values()))) if by_method else []
    taus: list[float] = []
    if len(seeds) < 2 or len(by_method) < 2:
        return {"seeds": len(seeds), "methods": len(by_method), "tau": None}
    for half in combinations(seeds, len(seeds) // 2):
        sides = [
            [fmean(one[seed] for seed in side) for one in by_method.values()]
            for side in (half, [seed for seed in seeds if seed not in half])
        ]
        taus.append(float(stats.kendalltau(*sides).statistic))
    return {
        "seeds": len(seeds),
        "methods": len(by_method),
        "tau": fmean(taus),
        "lowest": min(taus),
        "highest": max(taus),
    }
