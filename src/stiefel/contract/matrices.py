"""Matrices of known spectrum, and parts of a spectrum by NumPy's float64 SVD: what claims are measured against."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

EPS32, EPS64 = float(np.finfo(np.float32).eps), float(np.finfo(np.float64).eps)
RANK = 4
Array = npt.NDArray[np.float64]
MATRICES: dict[str, tuple[tuple[int, int], Array]] = {  # shape (out, in), singular values
    "square": ((32, 32), np.geomspace(8, 0.01, 32)),
    "tall": ((40, 24), np.geomspace(8, 0.01, 24)),
    "wide": ((24, 40), np.geomspace(8, 0.01, 24)),
    "flat": ((32, 24), np.linspace(2, 1, 24)),
    "full rank": ((RANK, 24), np.array([5.0, 3.0, 2.0, 1.0])),
    "clusters": ((24, 24), np.repeat([6.0, 3.0, 2.0, 1.0, 0.5, 0.1], 4)),
}


def with_spectrum(shape: tuple[int, int], values: Array, seed: int = 0) -> Tensor:
    """UΣVᵀ with Haar-random U and V, rounded to float32."""
    rng = np.random.default_rng(seed)
    U, V = (np.linalg.qr(rng.standard_normal((side, len(values))))[0] for side in shape)
    return torch.from_numpy((U * values) @ V.T).float()


def in_float64(tensor: Tensor) -> Array:
    """A tensor's values for NumPy."""
    values: Array = tensor.detach().cpu().double().numpy()
    return values


def part_of(W: Tensor, part: str, A: Tensor, rank: int = RANK) -> tuple[Array, Array, Array, float]:
    """(U, S, Vᵀ, gap) of a part of W by NumPy in float64; gap to the nearest singular value left out.

    "random" is whichever r directions A's rows point along: if they point elsewhere, no choice of r fits them.
    """
    U, S, Vh = np.linalg.svd(in_float64(W), full_matrices=False)
    k = int((max(W.shape) * EPS64 * S[0] < S).sum())
    if part == "random":
        kept = np.sort(np.argsort(-np.diag(Vh[:k] @ row_projector(A) @ Vh[:k].T))[:rank])
    else:
        kept = {"top": np.arange(rank), "bottom": np.arange(k - rank, k)}[part]
    left_out = np.setdiff1d(np.arange(k), kept)
    gap = np.abs(S[kept, None] - S[left_out]).min(initial=S[0])
    return U[:, kept], S[kept], Vh[kept], float(gap)


def row_projector(A: Tensor) -> Array:
    """The orthogonal projector onto A's row space; rows are scaled to length 1 first, which does not change it."""
    rows = in_float64(A)
    Q, _ = np.linalg.qr((rows / np.linalg.norm(rows, axis=1, keepdims=True)).T)
    projector: Any = Q @ Q.T
    return np.asarray(projector)


def subspace_bound(W: Tensor, rank: int, gap: float) -> float:
    """How far two float64 SVDs may differ (Wedin: c·ε·σ₁/gap, c = m + n each), plus float32 rounding of unit rows."""
    sigma = float(np.linalg.norm(in_float64(W), 2))
    return 2 * sum(W.shape) * EPS64 * sigma / gap + 2 * 2 * math.sqrt(rank) * EPS32
