"""The k-th smallest of many values is the sorted one, whether or not the sample brackets it."""

from __future__ import annotations

import numpy as np
import pytest

from stiefel.methods.thresholds import SAMPLE, kth_smallest

COUNT = 17 * SAMPLE + 3
KINDS = {
    "spread": lambda rng: rng.standard_normal(COUNT),
    "half of them equal": lambda rng: np.where(rng.random(COUNT) < 0.5, 0.25, rng.random(COUNT)),
    "all equal": lambda rng: np.ones(COUNT),
    # every value that an evenly spaced sample meets is large, all others small: the bracket is wrong
    "in step with the sample": lambda rng: np.where(np.arange(COUNT) % 17 == 0, 10.0, rng.random(COUNT)),
}


@pytest.mark.parametrize("share", [1e-6, 0.2, 0.5, 0.999, 1.0])
@pytest.mark.parametrize("kind", KINDS)
def test_the_kth_smallest_is_the_sorted_one(kind: str, share: float) -> None:
    values = np.abs(KINDS[kind](np.random.default_rng(0)).astype(np.float32))
    k = max(1, int(share * COUNT))
    assert kth_smallest(values.copy(), k) == np.sort(values)[k - 1]
