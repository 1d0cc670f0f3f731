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
    score = bootstrap_mean(values, 1, -1, 2)
    half = stats.norm.ppf(0.975) * values.std(ddof=1) / math.sqrt(400)
    # 2,000 resamples place a 2.5% quantile within √(0.025·0.975/2000)/φ(z) = 6% of a standard error; 4σ of that
    assert score.low == pytest.approx(values.mean() - half, abs=0.24 * half / 1.96)
    assert score.high == pytest.approx(values.mean() + half, abs=0.24 * half / 1.96)
    assert bootstrap_mean(values, 1, -1, 2) == score, "seeded"


def unseen(n):
    """Wilson's upper bound of a share of which none was seen."""
    return stats.norm.ppf(0.975) ** 2 / (n + stats.norm.ppf(0.975) ** 2)


@pytest.mark.parametrize(("value", "n"), [(0.0, 12), (1.0, 12), (-1.0, 1), (0.0, 500)])
def test_a_difference_that_is_the_same_for_every_question_is_not_certain(value, n):
    """0 of 12 before and 0 of 12 after: a quarter of all questions may still have been gained or lost."""
    before = [0.0 if value >= 0 else 1.0] * n
    score = paired_difference(before, [each + value for each in before])
    assert score.mean == value
    assert score.low == pytest.approx(value - unseen(n) * (value + 1))
    assert score.high == pytest.approx(value + unseen(n) * (1 - value))


def test_a_mean_of_equal_scores_is_not_certain():
    score = accuracy([0.5] * 20)
    assert (score.low, score.high) == (pytest.approx(0.5 - unseen(20) / 2), pytest.approx(0.5 + unseen(20) / 2))


def test_equal_rewards_beyond_one_stay_within_what_was_seen():
    score = accuracy([3.0] * 10)
    assert (score.low, score.high) == (pytest.approx(3 - 3 * unseen(10)), 3.0)


def test_values_that_differ_by_a_rounding_are_alike():
    """Every question gained a third: 1/3 − 0 and 1 − 2/3 differ in their last bit."""
    score = paired_difference([0.0, 2 / 3, 0.0, 2 / 3], [1 / 3, 1.0, 1 / 3, 1.0])
    assert score.low == pytest.approx(1 / 3 - unseen(4) * 4 / 3)
    assert score.high == pytest.approx(1 / 3 + unseen(4) * 2 / 3)


def test_means_between_zero_and_one_are_bootstrapped():
    score = accuracy([0.25, 0.75, 0.5, 1.0, 0.0] * 20)
    assert 0 <= score.low < score.mean == 0.5 < score.high <= 1


def test_a_paired_difference_is_paired():
    rng = np.random.default_rng(2)
    hard = rng.random(300)
    noisy = paired_difference(hard, hard + 0.1 + rng.normal(0, 0.01, 300))
    assert noisy.high - noisy.low < 0.1 * (accuracy(hard).high - accuracy(hard).low)


def test_by_question_means_samples_in_order_of_questions():
    assert by_question([(1, 1.0), (0, 0.0), (1, 0.0), (0, 1.0), (2, 1.0)]) == [0.5, 0.5, 1.0]
