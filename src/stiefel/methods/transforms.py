"""Starts whose rows are orthonormal and know nothing of W: controls for orthonormality without its geometry."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .layer import Factors, Layer
from .method import Claims, method
from .papers import RLPO


@method(paper=RLPO, claims=Claims(a_orthonormal=True, b_zero=True, seeded=True))
def random_orthonormal(layer: Layer) -> Factors:
    """A = r rows of a Haar-random orthonormal frame, B = 0: orthonormality with no geometry.

    A = Qᵀ with QR = Gᵀ, G Gaussian (r, n) and R's diagonal positive, which makes Q Haar-distributed (Mezzadri, Notices
    of the AMS 54 (2007) 592-604). O(nr²). Not `gaussian`, whose rows are orthonormal only on average.
    """
    return Factors(A=orthonormal_rows(gaussian_rows(layer)), B=layer.zero_b())


@method(paper=RLPO, claims=Claims(a_orthonormal=True, b_zero=True, shape_only=True))
def dct(layer: Layer) -> Factors:
    """A = the first r rows of the orthonormal DCT-II matrix, B = 0 (DCT-LoRA, RLPO paper §6).

    D_ij = α_i cos(π(2j + 1)i/2n) with α_0 = √(1/n), else √(2/n). The same A in every layer of n inputs. O(rn log n).
    """
    from scipy import fft  # here: only this start needs it

    units = np.eye(layer.rank, layer.in_features)  # row i of D is Dᵀe_i, and Dᵀ is the inverse transform
    return Factors(A=torch.from_numpy(fft.idct(units, norm="ortho", axis=1)).to(torch.float32), B=layer.zero_b())


@method(paper=RLPO, claims=Claims(a_orthonormal=True, b_zero=True, seeded=True))
def wavelet(layer: Layer) -> Factors:
    """A = Qᵀ with QR = H(G)ᵀ, G Gaussian (r, n), H the row-wise Haar transform, B = 0 (Wavelet-LoRA, RLPO paper §6).

    H takes as many levels as n has factors of 2, so that it is orthonormal for every n and nothing is padded; for odd
    n it is the identity. An orthonormal H maps a Gaussian to a Gaussian: this A is distributed as
    `random_orthonormal`'s, and differs from it by its draw alone. O(nr²).
    """
    transformed = torch.from_numpy(haar_transform(gaussian_rows(layer).numpy()))
    return Factors(A=orthonormal_rows(transformed), B=layer.zero_b())


def gaussian_rows(layer: Layer) -> Tensor:
    """G (r, n) with independent standard normal entries, float64."""
    G = torch.empty(layer.rank, layer.in_features, dtype=torch.float64)
    return G.normal_(generator=layer.generator())


def haar_transform(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each row's orthonormal Haar transform, of as many levels as its length halves evenly; coarse to fine."""
    import pywt  # here: only this start needs it

    n = rows.shape[1]
    levels = (n & -n).bit_length() - 1
    if levels == 0:
        return rows
    bands = pywt.wavedec(rows, "haar", mode="periodization", level=levels, axis=1)
    return np.concatenate(bands, axis=1)


def orthonormal_rows(G: Tensor) -> Tensor:
    """Qᵀ (r, n) of QR = Gᵀ with R's diagonal positive, in float32."""
    Q, R = torch.linalg.qr(G.T)
    rows: Tensor = (Q * torch.where(R.diagonal() < 0, -1.0, 1.0).to(Q)).T
    return rows.to(torch.float32).contiguous()
