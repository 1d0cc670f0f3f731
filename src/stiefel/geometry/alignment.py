"""Where in the spectrum of W = UΣVᵀ (m, n) a change ΔW lies. Shares of a change that is zero are 0."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from ..spectrum import Triplets
from .change import Change, energy


def aligned_coefficients(change: Change, basis: Triplets) -> Tensor:
    """c_i = u_iᵀΔWv_i (k,) on k triplets of W, float64.

    O((m + n)kp) for a change of rank p, O(mnk) for a dense one. Source: RLPO paper (arXiv:2606.31813), Fig. 3.
    """
    images = change.from_right(basis.Vh)
    return (images * basis.U.to(images)).sum(dim=0)


def aligned_distribution(c: Tensor) -> Tensor:
    """p_i = |c_i|/Σ_j|c_j| (k,): how the update is distributed over W's singular directions.

    Source: RLPO paper (arXiv:2606.31813), Fig. 3, where ΔW is sBA; for an anchored adapter the true change is
    s(BA − B₀A₀), and both can be given.
    """
    total = float(c.abs().sum())
    return c.abs() / total if total else torch.zeros_like(c)


def cumulative_energy(c: Tensor) -> Tensor:
    """E_i = Σ_{j≤i}c_j²/Σ_jc_j² (k,), in the order of descending σ. Source: RLPO paper (arXiv:2606.31813), Fig. 3."""
    squares = c.square()
    total = float(squares.sum())
    return squares.cumsum(0) / total if total else torch.zeros_like(c)


class Shares(NamedTuple):
    """The energy of ΔW on k triplets of W, as shares of ‖ΔW‖_F²."""

    left: float  # ‖U_kᵀΔW‖_F²
    right: float  # ‖ΔWV_k‖_F²
    joint: float  # ‖U_kᵀΔWV_k‖_F²

    @property
    def both(self) -> float:
        """S_Head: the mean of left and right."""
        return (self.left + self.right) / 2


def subspace_shares(change: Change, part: Triplets) -> Shares:
    """S_Head(ΔW; k) = (‖U_kᵀΔW‖_F² + ‖ΔWV_k‖_F²)/(2‖ΔW‖_F²) is `.both`, of W's k leading triplets.

    Given the trailing ones it is the same figure of the tail. A change without preference has k(1/m + 1/n)/2, see
    `chance`. O((m + n)kp) for a change of rank p, O(mnk) for a dense one. Source: GeoRA (arXiv:2601.09361), S_Head.
    """
    total = change.norm**2
    if not total:
        return Shares(0.0, 0.0, 0.0)
    left = change.from_left(part.U)
    right = energy(change.from_right(part.Vh))
    joint = energy(left @ part.Vh.to(left).T)
    return Shares(energy(left) / total, right / total, joint / total)


def chance(shape: tuple[int, int], k: int) -> float:
    """S_Head's mean over changes (m, n) with no preferred direction: k(1/m + 1/n)/2.

    E‖U_kᵀX‖² = kσ²n of an X with entries of variance σ². Source: the definition of S_Head, GeoRA (arXiv:2601.09361).
    """
    return k * (1 / shape[0] + 1 / shape[1]) / 2


def principal_angles(X: Tensor, Y: Tensor) -> Tensor:
    """The angles θ₁ ≤ … ≤ θ_k in radians between the spans of orthonormal columns X (d, p) and Y (d, k), k ≤ p.

    From cosines where they are large angles and from sines where they are small, so that both are accurate in float64.
    O(dpk). Source: Björck and Golub, Math. Comp. 27, 1973.
    """
    X, Y = X.to(torch.float64), Y.to(torch.float64)
    assert Y.shape[1] <= X.shape[1], "an angle for each direction of the smaller space"
    overlap = X.T @ Y
    cosines = torch.linalg.svdvals(overlap).clamp(max=1.0)
    angles: Tensor = cosines.acos()
    small = cosines.square() > 0.5
    if not small.any():
        return angles
    rest = Y - X @ overlap  # its singular values are the sines
    sines = torch.linalg.svdvals(rest).flip(0).clamp(max=1.0)
    return torch.where(small, sines.asin(), angles)


def angles_between(X: Tensor, Y: Tensor) -> Tensor:
    """`principal_angles` θ_i = arccos σ_i(XᵀY) of orthonormal columns (d, p) and (d, k), whichever are more.

    Source: Björck and Golub, Math. Comp. 27, 1973.
    """
    return principal_angles(X, Y) if Y.shape[1] <= X.shape[1] else principal_angles(Y, X)


def subspace_similarity(A: Tensor, Vh: Tensor) -> float:
    """‖AV‖_F/‖A‖_F of a factor A (r, n) and k right singular vectors Vᵀ (k, n) of W; 0 where A = 0.

    1 where every row of A lies in the span, √(k/n) on average for rows without a preference. O(nrk). Source: RLPO
    paper (arXiv:2606.31813), Fig. 7.
    """
    A = A.detach().to(torch.float64)
    norm = float(torch.linalg.vector_norm(A))
    return float(torch.linalg.vector_norm(A @ Vh.to(A).T)) / norm if norm else 0.0
