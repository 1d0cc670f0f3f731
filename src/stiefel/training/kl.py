"""Divergences between policies, from log-probabilities of sampled tokens; pure functions.

All take per-token log-probabilities (B, T) of the same tokens and return a term per token, in nats; its mean over the
response tokens is the estimate. Estimators: Schulman, "Approximating KL Divergence", 2020.
"""

from __future__ import annotations

import torch
from torch import Tensor


def kl_of_new_from_rollout(new: Tensor, rollout: Tensor) -> Tensor:
    """KL(π_new‖π): ρ log ρ − ρ + 1 with ρ = π_new/π, tokens drawn from π; each term is ≥ 0."""
    log_ratio = new.double() - rollout.double()
    return log_ratio.exp() * log_ratio - torch.expm1(log_ratio)


def kl_from_base(policy: Tensor, base: Tensor) -> Tensor:
    """KL(π_θ‖π_base): r − 1 − log r with r = π_base/π_θ (k3), tokens drawn from π_θ; each term is ≥ 0."""
    log_ratio = base.double() - policy.double()
    return torch.expm1(log_ratio) - log_ratio


def kl_from_base_k1(policy: Tensor, base: Tensor) -> Tensor:
    """KL(π_θ‖π_base): log π_θ − log π_base (k1), unbiased, not always positive."""
    return policy.double() - base.double()
