"""Figures of singular values alone: how far a spectrum moved, and how many directions it has."""

from __future__ import annotations

import torch
from torch import Tensor

SMALL = 512  # min(m, n) up to which LAPACK solves a matrix whole in float64


def singular_values(W: Tensor) -> Tensor:
    """σ(W), all min(m, n), descending, float64.

    Up to min(m, n) = 512 in float64 throughout; beyond, QR in float32 and the values of R in float64, so that their
    error is some 1e-7·σ₁ and no float64 copy of W is made. O(mn·min(m, n)). Source of the figure: RLPO paper
    (arXiv:2606.31813), Fig. 9.
    """
    W = W.detach()
    tall = W if W.shape[0] >= W.shape[1] else W.T
    small = min(W.shape) <= SMALL
    square = tall if small else torch.linalg.qr(tall.to(torch.float32), mode="r")[1]
    values: Tensor = torch.linalg.svdvals(square.to(torch.float64))
    return values


def normalized_spectral_shift(before: Tensor, after: Tensor) -> float:
    """NSS = ‖σ(W⁺) − σ(W)‖₂/‖σ(W)‖₂ of all singular values (k,), descending; 0 where W = 0.

    Source: "The Path Not Taken: RLVR Provably Learns Off the Principals", arXiv:2511.08567.
    """
    before, after = before.to(torch.float64), after.to(torch.float64)
    norm = float(torch.linalg.vector_norm(before))
    return float(torch.linalg.vector_norm(after - before)) / norm if norm else 0.0


def spectral_shift_bound(norm: float, change: float) -> float:
    """‖ΔW‖_F/‖W‖_F ≥ NSS, without any singular value; 0 where W = 0. Source: Mirsky, Q. J. Math. 11, 1960."""
    return change / norm if norm else 0.0


def stable_rank(S: Tensor) -> float:
    """‖W‖_F²/σ₁² of singular values (k,), between 1 and k; 0 where there is none.

    Source: Rudelson and Vershynin, J. ACM 54, 2007.
    """
    if not len(S) or not float(S[0]):
        return 0.0
    return float((S.to(torch.float64) / S[0].to(torch.float64)).square().sum())


def effective_rank(S: Tensor) -> float:
    """exp(−Σp_i ln p_i), p_i = σ_i/Σσ_j, of singular values (k,), between 1 and k; 0 where there is none.

    Source: Roy and Vetterli, EUSIPCO 2007.
    """
    total = float(S.to(torch.float64).sum()) if len(S) else 0.0
    if not total:
        return 0.0
    p = S[S > 0].to(torch.float64) / total
    return float((-(p * p.log()).sum()).exp())
