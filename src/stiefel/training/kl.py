"""Divergences between policies, from log-probabilities of sampled tokens; pure functions.

All take per-token log-probabilities (B, T) of the same tokens and a mask (B, T) of response tokens, and return the
mean over the masked tokens, in nats. Estimators: Schulman, "Approximating KL Divergence", 2020.
"""

from __future__ import annotations

import torch
from torch import Tensor


def masked_mean(values: Tensor, mask: Tensor) -> float:
    """Mean of `values` where `mask` is 1, in float64."""
    return float((values.double() * mask).sum() / mask.sum())


def kl_of_new_from_rollout(new: Tensor, rollout: Tensor, mask: Tensor) -> float:
    """KL(π_new‖π) ≈ mean of ρ log ρ − ρ + 1 with ρ = π_new/π, tokens drawn from π; each term is ≥ 0."""
    log_ratio = new.double() - rollout.double()
    return masked_mean(log_ratio.exp() * log_ratio - torch.expm1(log_ratio), mask)


def kl_from_base(policy: Tensor, base: Tensor, mask: Tensor) -> float:
    """KL(π_θ‖π_base) ≈ mean of r − 1 − log r with r = π_base/π_θ (k3), tokens drawn from π_θ; each term is ≥ 0."""
    log_ratio = base.double() - policy.double()
    return masked_mean(torch.expm1(log_ratio) - log_ratio, mask)


def kl_from_base_k1(policy: Tensor, base: Tensor, mask: Tensor) -> float:
    """KL(π_θ‖π_base) ≈ mean of log π_θ − log π_base (k1), unbiased, not always positive."""
    return masked_mean(policy.double() - base.double(), mask)
