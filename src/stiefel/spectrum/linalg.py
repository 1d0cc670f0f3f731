"""Singular subspaces of one matrix, with signs that do not depend on who computed them."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from .threads import each

PIECE = 1 << 20  # entries


class Triplets(NamedTuple):
    """r singular triplets of W (m, n), singular values descending: W ≈ U diag(S) Vh."""

    U: Tensor  # (m, r), orthonormal columns
    S: Tensor  # (r,)
    Vh: Tensor  # (r, n), orthonormal rows

    def slice(self, start: int, stop: int) -> Triplets:
        """Triplets start to stop - 1, as contiguous copies that do not keep the rest alive."""
        return Triplets(
            self.U[:, start:stop].contiguous(), self.S[start:stop].clone(), self.Vh[start:stop].contiguous()
        )

    def to(self, dtype: torch.dtype) -> Triplets:
        """The same triplets in another floating type."""
        return Triplets(self.U.to(dtype), self.S.to(dtype), self.Vh.to(dtype))


def canonical_signs(triplets: Triplets) -> Triplets:
    """Flip each pair (u_i, v_i) so that the largest-magnitude entry of v_i is positive, of near ties the first."""
    magnitudes = triplets.Vh.abs()
    # a tie, such as (1, −1)/√2, must not be decided by rounding: argmax of a boolean is its first True
    largest = (magnitudes >= 0.999 * magnitudes.amax(dim=1, keepdim=True)).int().argmax(dim=1, keepdim=True)
    signs = torch.where(triplets.Vh.gather(1, largest) < 0, -1.0, 1.0).to(triplets.Vh)
    return Triplets(triplets.U * signs.T, triplets.S, triplets.Vh * signs)


def exact_svd(W: Tensor) -> Triplets:
    """All min(m, n) triplets by LAPACK in float64, O(mn·min(m, n)) time; of the tall orientation, which is faster."""
    W = W.detach().to(torch.float64)
    if W.shape[0] >= W.shape[1]:
        return canonical_signs(Triplets(*torch.linalg.svd(W, full_matrices=False)))
    V, S, Uh = torch.linalg.svd(W.T, full_matrices=False)
    return canonical_signs(Triplets(Uh.T, S, V.T))


def numerical_rank(S: Tensor, shape: torch.Size) -> int:
    """k, the number of positive singular values: σ_i > max(m, n)·eps·σ₁ (eps of float64)."""
    return int((max(shape) * torch.finfo(torch.float64).eps * S[0] < S).sum())


def rounding_angle(S: Tensor, start: int, stop: int, shape: tuple[int, int]) -> float:
    """The sine that LAPACK's rounding may turn the span of triplets start to stop − 1 by; 1 where it says nothing.

    Its backward error, taken as √max(m, n)·eps·σ₁, over the gap to the neighbouring values, of which the last is 0
    (Wedin, BIT 12, 1972).
    """
    values = [*S.tolist(), 0.0]
    gap = min(values[stop - 1] - values[stop], values[start - 1] - values[start] if start else math.inf)
    error = math.sqrt(max(shape)) * torch.finfo(torch.float64).eps * values[0]
    return min(1.0, error / gap) if gap > 0 else 1.0


def frobenius_norm(W: Tensor) -> float:
    """‖W‖_F summed in float64, a piece of rows at a time so that no float64 copy of W is made."""
    pieces = torch.split(W, max(1, PIECE // W.shape[1]))
    several = W.device.type == "cpu" and len(pieces) > 2
    norms = each(lambda piece: float(torch.linalg.vector_norm(piece, dtype=torch.float64)), pieces, pays=several)
    return math.sqrt(sum(norm**2 for norm in norms))


def orthonormality_error(A: Tensor) -> float:
    """‖AAᵀ − I‖_max of A (r, n), computed in float64. Source: the condition of RLPO (arXiv:2606.31813), Theorem 5.2."""
    A = A.detach().to(torch.float64)
    return float((A @ A.T - torch.eye(A.shape[0], dtype=A.dtype, device=A.device)).abs().max())
