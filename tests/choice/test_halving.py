"""Optuna's rule, asked about whole rungs, is synchronous halving; how sure a choice is follows from what was seen."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from stiefel.choice.halving import going_on
from stiefel.choice.merit import last_rewards, merit
from stiefel.choice.verdict import chance_of_best, interval


@pytest.mark.parametrize("factor", [2, 3])
@pytest.mark.parametrize("count", [2, 3, 5, 9])
def test_the_best_of_a_rung_go_on_in_whatever_order_they_stand(count: int, factor: int) -> None:
    merits = {
        f"c{number}": float(merit) for number, merit in enumerate(np.random.default_rng(count).permutation(count))
    }
    best = sorted(merits, key=lambda name: -merits[name])[: max(1, count // factor)]
    for names in itertools.islice(itertools.permutations(merits), 0, None, 1 + math.factorial(count) // 5):
        assert going_on({name: merits[name] for name in names}, 7, factor) == best


def test_what_is_out_does_not_go_on_and_takes_no_place() -> None:
    assert going_on({"a": math.nan, "b": 0.1, "c": 0.3, "d": 0.2, "e": 0.0, "f": math.nan}, 3, 2) == ["c", "d"]
    assert going_on({"a": math.nan, "b": math.nan}, 3, 2) == []


def test_of_equals_the_first_go_on() -> None:
    assert going_on(dict.fromkeys("abcd", 0.5), 1, 2) == ["a", "b"]


def test_the_later_half_is_compared_and_at_most_a_quarter_of_a_run() -> None:
    rewards = [float(number) for number in range(60)]
    assert last_rewards(rewards, 12, 60) == rewards[6:12]
    assert last_rewards(rewards, 60, 60) == rewards[45:]
    assert last_rewards(rewards[:11], 12, 60) == []  # it did not come so far
    assert math.isnan(merit([]))
    assert merit([math.nan, 1.0, 0.0]) == 0.5


def test_a_choice_is_as_sure_as_what_was_seen() -> None:
    close = {"a": [0.70, 0.75, 0.62], "b": [0.72, 0.70, 0.64]}
    clear = {"a": [0.70, 0.75, 0.62], "b": [0.50, 0.54, 0.43]}
    assert 0.4 < chance_of_best(close, "a") < 0.7
    assert chance_of_best(clear, "a") > 0.98
    assert chance_of_best(clear, "a") + chance_of_best(clear, "b") == pytest.approx(1)
    assert chance_of_best({name: [0.5, 0.5] for name in "abc"}, "a") == pytest.approx(1 / 3)


def test_the_probability_of_two_is_that_of_the_paired_t_test() -> None:
    """For a flat prior the chance that μ_a > μ_b is one minus the one-sided p of Student's paired test."""
    from scipy import stats

    blocks = {"a": [0.70, 0.75, 0.62, 0.68], "b": [0.66, 0.73, 0.63, 0.64]}
    p = stats.ttest_rel(blocks["a"], blocks["b"], alternative="greater").pvalue
    assert chance_of_best(blocks, "a") == pytest.approx(1 - p, abs=0.01)


def test_the_interval_of_one_candidate_is_students() -> None:
    from scipy import stats

    values = [0.70, 0.75, 0.62, 0.68]
    found = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert interval({"a": values}, "a") == pytest.approx((found.low, found.high))
