"""What theory says of the first step: plain gradient descent of rate η on the factors, G₀ = ∇_W L (m, n) at the start.

W is trained through s(BA − B₀A₀). s = 1 and undivided singular values in the papers; s is kept here. All matrices may
be of any floating type; nothing is converted.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .change import LowRankChange


def full_step(G: Tensor, lr: float) -> Tensor:
    """ΔW₁^full = −ηG₀ (m, n). Source: RLPO paper (arXiv:2606.31813), Appendix A."""
    return -lr * G


def first_step(G: Tensor, A: Tensor, B: Tensor, scaling: float, lr: float) -> LowRankChange:
    """ΔW₁ = s(B₁A₁ − B₀A₀) with ΔA = −ηsB₀ᵀG₀, ΔB = −ηsG₀A₀ᵀ, exactly; A (r, n), B (m, r). O(mnr).

    Source: RLPO paper (arXiv:2606.31813), §5.1, whose gradients of A and B these are, with s kept.
    """
    dA, dB = -lr * scaling * (B.T @ G), -lr * scaling * (G @ A.T)
    return LowRankChange(scaling * torch.cat([dB, B], dim=1), torch.cat([A + dA, dA]))


def first_order_step(G: Tensor, A: Tensor, B: Tensor, scaling: float, lr: float) -> LowRankChange:
    """ΔW₁ = −ηs²(G₀A₀ᵀA₀ + B₀B₀ᵀG₀) + O(η²), without its second-order part sΔBΔA. O(mnr).

    With B₀ = 0 it is exact, ΔW₁ = s²·ΔW₁^full·A₀ᵀA₀. Source: RLPO paper (arXiv:2606.31813), Lemma A.1.
    """
    L = -lr * scaling**2 * torch.cat([G @ A.T, B], dim=1)
    return LowRankChange(L, torch.cat([A, B.T @ G]))


def step_ratio(G: Tensor, A: Tensor, B: Tensor, scaling: float) -> float:
    """‖ΔW₁‖_F/‖ΔW₁^full‖_F to first order in η: how large a method's first step is beside full fine-tuning's.

    At most s² where B₀ = 0 and A₀ has orthonormal rows; at least σ_r times larger for PiSSA than for OLoRA, both
    undivided. 0 where G₀ = 0. O(mnr). Source: RLPO paper (arXiv:2606.31813), Prop. 5.3 (where s = 1), Theorem 4.1.
    """
    norm = float(torch.linalg.vector_norm(G, dtype=torch.float64))
    return first_order_step(G, A, B, scaling, 1.0).norm / norm if norm else 0.0


def svd_coefficients(size: int, r: int, weights: Tensor) -> Tensor:
    """w_i·1[i∈R] + w_j·1[j∈R] (k, k), k = `size`, R the r leading of them: how ΔW₁'s coefficients follow from G₀'s.

    u_iᵀΔW₁v_j = −η·(this)_ij·u_iᵀG₀v_j to first order, with w = σ for PiSSA and w = 1 for OLoRA (s = 1, undivided).
    Source: RLPO paper (arXiv:2606.31813), Lemma B.1.
    """
    inside = torch.where(torch.arange(size) < r, weights, torch.zeros_like(weights))
    return inside[:, None] + inside[None, :]


def frame_defect(A: Tensor) -> float:
    """‖I − AᵀA‖₂ of A (r, n): the largest |1 − σ_i²|, and at least 1 where r < n, with equality for σ_i ≤ √2.

    Orthonormal rows have σ_i = 1. O(nr²). Source: RLPO paper (arXiv:2606.31813), Theorem 5.2.
    """
    defects = (1 - torch.linalg.svdvals(A).square()).abs()
    return max(float(defects.max()), 1.0 if A.shape[0] < A.shape[1] else 0.0)


def gap_bound(A: Tensor, gradient_norm: float, smoothness: float, input_norm: float, lr: float, steps: int) -> float:
    """MηΓ_T(η)·‖I − A₀ᵀA₀‖₂ ≥ (1/T)‖W_T^LoRA − W_T^full‖_F up to O(η²), with Γ_T(η) = (1/T)Σ_{t<T}(1 + Lη‖x‖²)^t.

    M bounds ‖G_t‖_F, and L is the smoothness of the loss in the logits: 1 for cross-entropy, max|Â| for
    group-normalised advantages, which reach √(group − 1). Source: RLPO paper (arXiv:2606.31813), Theorem 5.2.
    """
    growth = sum((1 + smoothness * lr * input_norm**2) ** t for t in range(steps)) / steps
    return gradient_norm * lr * growth * frame_defect(A)


def kl_radius(kl: float, smallest_fisher: float) -> float:
    """√(2K/μ): ‖ΔW‖_F of a step with KL ≤ K is at most this, times 1 + o(1) as K falls.

    μ is the smallest eigenvalue of the Fisher information on the subspace of the update. Source: RLPO paper
    (arXiv:2606.31813), Theorem 4.2.
    """
    return math.sqrt(2 * kl / smallest_fisher)
