"""pass@k against every subset, counted."""

from __future__ import annotations

from itertools import combinations
from statistics import fmean

import numpy as np
import pytest

from stiefel.scores import accuracy, average_at, chances, pass_at, pass_chance, usual_ks


@pytest.mark.parametrize("samples", range(1, 8))
def test_pass_at_k_is_the_share_of_subsets_with_a_right_one(samples: int) -> None:
    for right in range(samples + 1):
        graded = [1] * right + [0] * (samples - right)
        for k in range(1, samples + 1):
            subsets = list(combinations(graded, k))
            share = sum(any(subset) for subset in subsets) / len(subsets)
            # both are quotients of integers below 2⁵³: equal but for the rounding of 1 − x
            assert pass_chance(samples, right, k) == pytest.approx(share, abs=2**-52)


def test_it_is_unbiased_and_the_plug_in_is_not() -> None:
    """Of n = 4 samples that are right with chance p, summed over all 16 outcomes: exactly 1 − (1 − p)ᵏ."""
    p, n, k = 0.3, 4, 2
    outcomes = [[bool(bits >> place & 1) for place in range(n)] for bits in range(2**n)]
    chance = [p ** sum(outcome) * (1 - p) ** (n - sum(outcome)) for outcome in outcomes]
    expected = sum(c * pass_chance(n, sum(o), k) for c, o in zip(chance, outcomes, strict=True))
    plug_in = sum(c * (1 - (1 - sum(o) / n) ** k) for c, o in zip(chance, outcomes, strict=True))
    assert expected == pytest.approx(1 - (1 - p) ** k, abs=1e-15)
    assert abs(plug_in - expected) > 0.01


def test_means_over_questions() -> None:
    values = {2: [1.0, 0.0, 0.0, 0.0], 0: [0.0] * 4, 1: [1.0] * 4, 3: [1.0, 1.0, 0.0, 0.0]}
    assert average_at(values).mean == pass_at(values, 1).mean == (0 + 1 + 0.25 + 0.5) / 4
    assert chances(values, 4) == [0, 1, 1, 1], "in the order of the questions"
    assert chances(values, 2) == pytest.approx([0, 1, 0.5, 5 / 6])
    passes = [pass_at(values, k).mean for k in range(1, 5)]
    assert passes == sorted(passes)
    assert pass_at(values, 4) == accuracy([0, 1, 1, 1])


def test_a_partial_score_counts_for_the_average_and_is_no_pass() -> None:
    values = {0: [0.5, 0.5], 1: [1.0, 0.5]}
    assert average_at(values).mean == 0.625
    assert pass_at(values, 2).mean == 0.5


def test_the_interval_of_pass_at_k_holds_what_it_promises() -> None:
    """Questions drawn anew 300 times: a 95% interval misses the truth 15 times, more than 33 times with chance 1e-5.

    (The bootstrap's own error at 60 questions is a few misses: 33 is 4.8σ of the binomial.)
    """
    rng = np.random.default_rng(0)
    n, k, questions = 8, 4, 60
    skill = rng.beta(0.6, 1.2, size=200_000)
    truth = float(np.mean(1 - (1 - skill) ** k))
    missed = 0
    for _ in range(300):
        rights = rng.binomial(n, rng.beta(0.6, 1.2, size=questions))
        values = {q: [1.0] * int(c) + [0.0] * int(n - c) for q, c in enumerate(rights)}
        score = pass_at(values, k)
        assert score.mean == pytest.approx(fmean(chances(values, k)))
        missed += not score.low <= truth <= score.high
    assert missed <= 33


@pytest.mark.parametrize(("samples", "ks"), [(1, [1]), (2, [1, 2]), (8, [1, 2, 4, 8]), (10, [1, 2, 4, 8, 10])])
def test_powers_of_two_and_n(samples: int, ks: list[int]) -> None:
    assert usual_ks(samples) == ks
