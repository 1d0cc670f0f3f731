"""The KL estimators against the sum over all tokens of a small distribution."""

from __future__ import annotations

import math

import pytest
import torch

from stiefel.training.kl import kl_from_base, kl_from_base_k1, kl_of_new_from_rollout

EPS = torch.finfo(torch.float64).eps


def two_policies(distance: float):
    logits = torch.randn(2, 11, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    first = logits[0].log_softmax(0)
    return first, (logits[0] + distance * logits[1]).log_softmax(0)


def divergence(p, q) -> float:
    """KL(p‖q) = Σ p (log p − log q)."""
    return float((p.exp() * (p - q)).sum())


def expectation(estimator, sampled_from, *policies) -> float:
    """Σ over tokens of their probability times the estimate from that token alone."""
    return float((sampled_from.exp() * estimator(*policies)).sum())


@pytest.mark.parametrize("distance", [1e-3, 0.1, 1.0, 3.0])
def test_estimators_are_unbiased(distance):
    policy, other = two_policies(distance)
    slack = 64 * EPS * 11  # sums of 11 terms of order 1
    assert abs(expectation(kl_from_base, policy, policy, other) - divergence(policy, other)) <= slack
    assert abs(expectation(kl_from_base_k1, policy, policy, other) - divergence(policy, other)) <= slack
    # here the tokens come from the rollout's policy, and the divergence is that of the new one from it
    growth = float((other - policy).exp().max())
    found = expectation(kl_of_new_from_rollout, policy, other, policy)
    assert abs(found - divergence(other, policy)) <= slack * growth


@pytest.mark.parametrize("estimator", [kl_from_base, kl_of_new_from_rollout])
@pytest.mark.parametrize("scale", [10.0**-k for k in range(0, 16)])
def test_each_term_is_at_least_zero(estimator, scale):
    """Confident tokens have log-probabilities of about −1e-12, so that their differences are that small too."""
    steps = torch.linspace(-1, 1, 4001, dtype=torch.float64) * scale
    for step in steps.tolist():
        assert estimator(torch.tensor(step, dtype=torch.float64), torch.tensor(0.0)) >= 0


@pytest.mark.parametrize("estimator", [kl_from_base, kl_from_base_k1, kl_of_new_from_rollout])
def test_equal_policies_give_exactly_zero(estimator):
    logps = -torch.rand(4, 7, generator=torch.Generator().manual_seed(1))
    assert not estimator(logps, logps.clone()).any()


@pytest.mark.parametrize("estimator", [kl_from_base, kl_of_new_from_rollout])
def test_small_divergences_keep_their_size(estimator):
    """δ²/2 to first order: nothing is lost to cancellation at δ = 1e-6, where one rounding of 1 is 2e-4 of it."""
    delta = 1e-6
    found = float(estimator(torch.tensor(delta, dtype=torch.float64), torch.tensor(0.0)))
    assert math.isclose(found, delta**2 / 2, rel_tol=2 * delta)
