"""Do the methods differ at all, and what could be told apart if all of them had the same spread over seeds?"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import stats

from benchmarks.study.decided import LEVEL
from benchmarks.study.runs import BySeed
from stiefel.report.pairs import holm


def pooled(by_method: dict[str, BySeed], control: str) -> dict[str, Any]:
    """Friedman's test over the seeds that all have, and every difference to one method by one common spread.

    With y[s, m] = seed s + method m + ε the spread is that of the residuals, (S − 1)(M − 1) degrees of freedom, and a
    difference has √(2/S) times it. Rank tests assume nothing of the kind; this assumes that ε is alike for all methods,
    which the tables' own intervals do not. Source: Friedman, JASA 32 (1937); Holm, Scand. J. Statist. 6 (1979).
    """
    seeds = sorted(set.intersection(*(set(one) for one in by_method.values()))) if by_method else []
    if len(seeds) < 3 or len(by_method) < 3 or control not in by_method:
        return {"seeds": len(seeds), "methods": len(by_method), "p": None}
    values = np.array([[one[seed] for one in by_method.values()] for seed in seeds])
    left = values - values.mean(0) - values.mean(1, keepdims=True) + values.mean()
    free = (len(seeds) - 1) * (len(by_method) - 1)
    spread = float(np.sqrt((left**2).sum() / free))
    error = spread * float(np.sqrt(2 / len(seeds)))
    means = dict(zip(by_method, values.mean(0), strict=True))
    over = {method: float(mean - means[control]) for method, mean in means.items() if method != control}
    chances = holm([float(2 * stats.t.sf(abs(one) / error, free)) for one in over.values()])
    decided = {method: over[method] for method, p in zip(over, chances, strict=True) if p < LEVEL}
    return {
        "seeds": len(seeds),
        "methods": len(by_method),
        "p": float(stats.friedmanchisquare(*values.T).pvalue),
        "spread": spread,
        "free": free,
        "least": error * float(stats.t.isf(LEVEL / 2 / len(over), free)),  # by Bonferroni: what Holm tests first
        "decided": decided,
    }
