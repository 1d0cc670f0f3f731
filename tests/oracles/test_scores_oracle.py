"""Scores against the textbook."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from stiefel.scores import accuracy, bootstrap_mean, by_question, paired_difference


@pytest.mark.parametrize(("right", "n"), [(0, 10), (3, 10), (10, 10), (1, 1), (250, 500)])
def test_wilson_interval(right, n):
    z = stats.norm.ppf(0.975)
    p = right / n
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    score = accuracy([1.0] * right + [0.0] * (n - right))
    assert (score.mean, score.questions) == (p, n)
    assert score.low == pytest.approx(centre - half, abs=1e-12)
    assert score.high == pytest.approx(centre + half, abs=1e-12)


def test_bootstrap_agrees_with_the_normal_interval_where_that_is_right():
    values = np.random.default_rng(0).normal(0.3, 0.2, 400)
    score = bootstrap_mean(values, seed=1)
    half = stats.norm.ppf(0.975) * values.std(ddof=1) / math.sqrt(400)
    # 2,000 resamples place a 2.5% quantile within √(0.025·0.975/2000)/φ(z) = 6% of a standard error; 4σ of that
    assert score.low == pytest.approx(values.mean() - half, abs=0.24 * half / 1.96)
    assert score.high == pytest.approx(values.mean() + half, abs=0.24 * half / 1.96)
    assert bootstrap_mean(values, seed=1) == score, "seeded"


def test_bootstrap_of_equal_values_has_no_width():
    score = bootstrap_mean(np.full(20, 0.5), seed=0)
    assert (score.mean, score.low, score.high) == (0.5, 0.5, 0.5)


def test_bootstrap_of_values_that_differ_by_a_rounding_has_no_width():
    """Every question gained a third: 1/3 − 0 and 1 − 2/3 differ in their last bit."""
    score = paired_difference([0.0, 2 / 3, 0.0, 2 / 3], [1 / 3, 1.0, 1 / 3, 1.0])
    assert (score.low, score.high) == (pytest.approx(1 / 3), pytest.approx(1 / 3))


def test_means_between_zero_and_one_are_bootstrapped():
    score = accuracy([0.25, 0.75, 0.5, 1.0, 0.0] * 20)
    assert 0 <= score.low < score.mean == 0.5 < score.high <= 1


def test_a_paired_difference_is_paired():
    rng = np.random.default_rng(2)
    hard = rng.random(300)
    noisy = paired_difference(hard, hard + 0.1 + rng.normal(0, 0.01, 300))
    assert noisy.high - noisy.low < 0.1 * (bootstrap_mean(hard, 0).high - bootstrap_mean(hard, 0).low)


def test_by_question_means_samples_in_order_of_questions():
    assert by_question([(1, 1.0), (0, 0.0), (1, 0.0), (0, 1.0), (2, 1.0)]) == [0.5, 0.5, 1.0]
