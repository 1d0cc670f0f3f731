"""GeoRA's W_Geo by NumPy in float64, with a sort where the package takes a k-th value."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import torch

MASKS = {"geora_spectral": ("spectral",), "geora_euclidean": ("euclidean",)}  # the others take both
UNIT = np.finfo(np.float32).eps / 2


def reference_mask(values: np.ndarray, rho: Fraction) -> np.ndarray:
    """1[|x| ≤ τ], τ the ⌊ρ·mn⌋-th smallest |x|."""
    count = rho.numerator * values.size // rho.denominator
    if count == 0:
        return np.zeros(values.shape, dtype=bool)
    return np.abs(values) <= np.sort(np.abs(values), axis=None)[count - 1]


def reference_masks(W: torch.Tensor, rank: int, rho: Fraction = Fraction(1, 5)) -> dict[str, np.ndarray]:
    """M_Spec and M_Euc; fails if float32 rounding of Ŵ_r could move an entry over its threshold."""
    exact = W.double().numpy()
    U, S, Vh = np.linalg.svd(exact, full_matrices=False)
    low_rank = (U[:, :rank] * S[:rank]) @ Vh[:rank]
    spectral = reference_mask(low_rank, rho)
    # U, S, V rounded once each and r products summed: r + 3 roundings of terms whose sum Cauchy and Schwarz bound by σ₁
    inside, outside = np.abs(low_rank[spectral]).max(initial=0), np.abs(low_rank[~spectral]).min(initial=np.inf)
    assert outside - inside > 2 * (rank + 3) * UNIT * S[0], "this matrix does not decide the mask: take another"
    return {"spectral": spectral, "euclidean": reference_mask(exact, rho)}


def reference_w_geo(method: str, W: torch.Tensor, rank: int, rho: Fraction = Fraction(1, 5)) -> np.ndarray:
    """W ⊙ the union of the method's masks."""
    masks = reference_masks(W, rank, rho)
    kept = np.any([masks[name] for name in MASKS.get(method, masks)], axis=0)
    return np.where(kept, W.double().numpy(), 0.0)
