"""Every figure from dense float64 matrices, by NumPy: what the package computes from factors."""

from __future__ import annotations

import numpy as np
import scipy.linalg


def head(W: np.ndarray, D: np.ndarray, k: int, *, tail: bool = False) -> dict[str, float]:
    U, S, Vh = np.linalg.svd(W, full_matrices=False)
    part = slice(len(S) - k, len(S)) if tail else slice(0, k)
    U, Vh = U[:, part], Vh[part]
    total = np.sum(D**2)
    return {
        "left": np.sum((U.T @ D) ** 2) / total,
        "right": np.sum((D @ Vh.T) ** 2) / total,
        "joint": np.sum((U.T @ D @ Vh.T) ** 2) / total,
    }


def nss(W: np.ndarray, D: np.ndarray) -> float:
    before, after = (np.linalg.svd(X, compute_uv=False) for X in (W, W + D))
    return float(np.linalg.norm(after - before) / np.linalg.norm(before))


def coefficients(W: np.ndarray, D: np.ndarray) -> np.ndarray:
    U, _, Vh = np.linalg.svd(W, full_matrices=False)
    return np.einsum("mi,mn,in->i", U, D, Vh)


def stable_rank(D: np.ndarray) -> float:
    return float(np.linalg.norm(D) ** 2 / np.linalg.norm(D, 2) ** 2)


def effective_rank(D: np.ndarray) -> float:
    S = np.linalg.svd(D, compute_uv=False)
    p = S[S / S[0] > 1e-12] / S.sum()
    return float(np.exp(-(p * np.log(p)).sum()))


def similarity(A: np.ndarray, W: np.ndarray, k: int, *, tail: bool = False) -> float:
    V = np.linalg.svd(W, full_matrices=False)[2]
    V = V[-k:] if tail else V[:k]
    return float(np.linalg.norm(A @ V.T) / np.linalg.norm(A))


def angles(D: np.ndarray, W: np.ndarray, k: int, side: str, *, tail: bool = False) -> np.ndarray:
    U, _, Vh = np.linalg.svd(D, full_matrices=False)
    own = U[:, :k] if side == "left" else Vh[:k].T
    U, _, Vh = np.linalg.svd(W, full_matrices=False)
    theirs = U if side == "left" else Vh.T
    theirs = theirs[:, -k:] if tail else theirs[:, :k]
    return np.sort(scipy.linalg.subspace_angles(own, theirs))


def to_bfloat16(X: np.ndarray) -> np.ndarray:
    """Round to 8 significant bits, ties to even, by scaling: no bit tricks, no torch."""
    mantissa, exponent = np.frexp(X)
    return np.ldexp(np.round(mantissa * 256), exponent - 8)


def spectrum(W: np.ndarray, k: int) -> dict[str, float]:
    S = np.linalg.svd(W, compute_uv=False)
    return {
        "positive": len(S),
        "mean": S.mean(),
        "top_mean": S[:k].mean(),
        "bottom_mean": S[-k:].mean(),
        "largest": S[0],
        "smallest": S[-1],
        "effective_rank": effective_rank(W),
        "stable_rank": stable_rank(W),
    }


def rounding(W: np.ndarray, D: np.ndarray) -> float:
    """√(Σulp²/12)/‖ΔW‖ with the spacing of numbers with 8 significant bits at W + ΔW."""
    ulp = 2.0 ** (np.floor(np.log2(np.abs(W + D))) - 7)
    return float(np.sqrt(np.sum(ulp**2) / 12) / np.linalg.norm(D))
