"""Who wins among the finalists, and how sure that is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from scipy import stats

from ..scores import CONFIDENCE

DRAWS = 20_000


def chance_of_best(blocks: Mapping[str, Sequence[float]], name: str) -> float:
    """The probability that `name` has the largest mean of all, by what was seen in blocks that they share.

    A block is a seed, or of one seed a rollout: the prompts are the same for all, so that what a block does to all is
    taken out. With F candidates in n blocks, x_cb = μ_c + β_b + ε, the means have the posterior m_c + s·t/√n for a flat
    prior: t multivariate with (F − 1)(n − 1) degrees of freedom, s² the mean square of what neither explains. By draws
    of it; candidates that are alike share theirs.
    """
    values = np.array(list(blocks.values()), dtype=float)
    count, n = values.shape
    freedom = (count - 1) * (n - 1)
    assert freedom > 0
    means = values.mean(axis=1)
    rest = values - means[:, None] - values.mean(axis=0) + values.mean()
    rng = np.random.default_rng(0)
    scale = np.sqrt((rest**2).sum() / freedom / n / (rng.chisquare(freedom, (DRAWS, 1)) / freedom))
    drawn = means + scale * rng.standard_normal((DRAWS, count))
    best = drawn == drawn.max(axis=1, keepdims=True)
    return float((best[:, list(blocks).index(name)] / best.sum(axis=1)).mean())


def interval(blocks: Mapping[str, Sequence[float]], name: str) -> tuple[float, float]:
    """Student's 95% interval of the mean of `name`, the spread over blocks being taken from all candidates together."""
    values = np.array(list(blocks.values()), dtype=float)
    count, n = values.shape
    freedom = count * (n - 1)
    assert freedom > 0
    spread = np.sqrt(((values - values.mean(axis=1, keepdims=True)) ** 2).sum() / freedom / n)
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, freedom) * spread)
    mean = float(np.mean(blocks[name]))
    return mean - half, mean + half
