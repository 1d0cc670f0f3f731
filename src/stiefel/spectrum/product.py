"""The r largest triplets of a matrix whose product U diag(S) Vh is wanted, and a bound of how far it is off.

From AᵀA of the tall orientation: its cost is foreseeable, while a Krylov space of A grows without bound where the
spectrum is flat, as that of the masked W_Geo is; and top triplets lose nothing by a squared matrix.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .gram import gram, images
from .lanczos import WHOLE, leading_eigenvectors
from .linalg import Triplets
from .solver import Solution, oriented, tall_view

# The relative error of a product is at most √2 times the sine of the largest angle between the spans found and sought.
PROMISED = 5e-4  # sine up to which a product is promised: 1e-3 is needed
ENOUGH = 1e-4  # sine at which the iteration stops
EPS = {dtype: torch.finfo(dtype).eps for dtype in (torch.float32, torch.float64)}


def product_triplets(W: Tensor, r: int, *, precise: bool = False) -> Solution:
    """The r largest triplets of W (m, n), r < min(m, n), in float64, with the angle that their product is off by.

    AᵀA in float32 (`precise`, or where min(m, n) is small, in float64), mn·min(m, n) operations; its leading
    eigenvectors; and one pass over A in float64, O(mnr), which measures them. Where float32 leaves an angle above what
    is promised, which a small gap σ_r − σ_{r+1} makes of its rounding, AᵀA is made again in float64. What then is
    still above it has no product to speak of: the energy alone is right.
    """
    A = tall_view(W)
    if not precise and A.shape[1] > WHOLE:
        found = solved(A, r, torch.float32, ENOUGH)
        if found.angle <= PROMISED:
            return Solution(oriented(found.triplets, W), found.residual, found.angle)
    found = solved(A, r, torch.float64, 0.0 if precise else ENOUGH)
    return Solution(oriented(found.triplets, W), found.residual, found.angle)


def solved(A: Tensor, r: int, dtype: torch.dtype, enough: float) -> Solution:
    """The same of a tall A, from AᵀA in one type."""
    leading = leading_eigenvectors(gram(A, dtype).to(dtype), r, enough, EPS[dtype])
    return measured(A, leading.vectors, leading.following)


def measured(A: Tensor, V: Tensor, following: float) -> Solution:
    """The triplets of A on the span of V (n, r), their residual, and the angle to A's own; `following` is σ²_{r+1}.

    Aᵀu − σv = (AᵀAv − σ²v)/σ, and Av = σu holds by construction.
    """
    image, back = images(A, V)
    U, S, Th = torch.linalg.svd(image, full_matrices=False)
    V = V @ Th.T
    missing = back @ Th.T - V * S.square()
    error = float(torch.linalg.vector_norm(missing)) + math.sqrt(len(S)) * EPS[torch.float64] * float(S[0]) ** 2
    gap = float(S[-1]) ** 2 - following - error
    residual = float((torch.linalg.vector_norm(missing, dim=0) / S).max() / S[0]) if float(S[-1]) > 0 else math.inf
    return Solution(Triplets(U, S, V.T), residual, min(1.0, error / gap) if gap > 0 else 1.0)
