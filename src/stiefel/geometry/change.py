"""The change of one weight matrix, ΔW = W⁺ − W (m, n): of two factors from an adapter, dense from full fine-tuning."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from functools import cached_property

import torch
from torch import Tensor

from ..spectrum import PIECE, RESOLVED, Triplets, exact_svd, frobenius_norm, numerical_rank, top_triplets
from .spectra import SMALL, singular_values

CANCELLED = 1e-8  # of (Σ_i‖L_:i‖‖R_i:‖)², below which the sum over Gram matrices has lost half of its digits


class Change(ABC):
    """ΔW as the figures need it; all of them are computed in float64."""

    shape: tuple[int, int]

    @property
    @abstractmethod
    def norm(self) -> float:
        """‖ΔW‖_F."""

    @abstractmethod
    def from_left(self, U: Tensor) -> Tensor:
        """UᵀΔW (k, n) of U (m, k)."""

    @abstractmethod
    def from_right(self, Vh: Tensor) -> Tensor:
        """ΔWV (m, k) of Vᵀ (k, n)."""

    @abstractmethod
    def rows(self, chosen: Tensor | slice) -> Tensor:
        """Some rows of ΔW, dense."""

    @abstractmethod
    def singular_values(self) -> Tensor:
        """Those of ΔW, descending; of a factored change only as many as its rank can be."""

    @abstractmethod
    def leading(self, k: int) -> Triplets:
        """The k largest triplets of ΔW, or as many as are positive."""

    def pieces(self) -> Iterator[tuple[slice, Tensor]]:
        """All of ΔW, about 2²⁰ entries at a time."""
        step = max(1, PIECE // self.shape[1])
        for start in range(0, self.shape[0], step):
            chosen = slice(start, min(start + step, self.shape[0]))
            yield chosen, self.rows(chosen)


class LowRankChange(Change):
    """ΔW = LR of L (m, p) and R (p, n), which is never formed; with s in L.

    A LoRA is L = sB, R = A; an anchored one L = s[ΔB, B₀], R = [A; ΔA], its rank-2r form on disk.
    """

    def __init__(self, L: Tensor, R: Tensor) -> None:
        self.L, self.R = L.detach().to(torch.float64), R.detach().to(torch.float64)
        self.shape = (self.L.shape[0], self.R.shape[1])

    @cached_property
    def norm(self) -> float:
        """‖LR‖_F = √tr(LᵀL·RRᵀ), O((m + n)p²); from the core where the terms cancel, and 0 where rounding is left.

        PEFT writes s(BA − B₀A₀) of its PiSSA as one product of [B, −B₀] and [A; A₀], whose square keeps no digit of a
        change below 10⁻⁸ of it.
        """
        left, right = self.L.T @ self.L, self.R @ self.R.T
        square = float((left * right).sum())
        size = float(left.diag().sqrt() @ right.diag().sqrt())  # Σ_i‖L_:i‖‖R_i:‖, which both roundings go by
        if square > CANCELLED * size**2:
            return math.sqrt(square)
        found = float(torch.linalg.vector_norm(self.core))
        rounding = max(self.shape) * torch.finfo(torch.float64).eps * size
        return 0.0 if found <= rounding else found

    def from_left(self, U: Tensor) -> Tensor:
        """(UᵀL)R, O((m + n)kp)."""
        return (U.to(self.L).T @ self.L) @ self.R

    def from_right(self, Vh: Tensor) -> Tensor:
        """L(RV), O((m + n)kp)."""
        return self.L @ (self.R @ Vh.to(self.R).T)

    def rows(self, chosen: Tensor | slice) -> Tensor:
        """L[rows]·R."""
        return self.L[chosen] @ self.R

    @cached_property
    def bases(self) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
        """QR of both factors, L = QT and Rᵀ = PS."""
        return torch.linalg.qr(self.L), torch.linalg.qr(self.R.T)

    @property
    def core(self) -> Tensor:
        """TSᵀ, at most (p, p), with ΔW = Q(TSᵀ)Pᵀ."""
        (_, T), (_, S) = self.bases
        return T @ S.T

    @cached_property
    def triplets(self) -> Triplets:
        """All positive triplets, by the SVD of the core, O((m + n)p²)."""
        (Q, _), (P, _) = self.bases
        U, values, Vh = torch.linalg.svd(self.core, full_matrices=False)
        found = Triplets(Q @ U, values, Vh @ P.T)
        return found.slice(0, numerical_rank(values, torch.Size(self.shape)) if self.norm else 0)

    def singular_values(self) -> Tensor:
        """Those of the core."""
        return self.triplets.S

    def leading(self, k: int) -> Triplets:
        """From all of them."""
        return self.triplets.slice(0, k)


class DenseChange(Change):
    """ΔW as a matrix in memory, in float32 or float64; no other copy of it is made in float64, but of small ones."""

    def __init__(self, D: Tensor) -> None:
        self.D = D.detach()
        self.shape = (D.shape[0], D.shape[1])

    @cached_property
    def norm(self) -> float:
        """Summed in float64."""
        return frobenius_norm(self.D)

    def from_left(self, U: Tensor) -> Tensor:
        """O(mnk)."""
        total = torch.zeros(U.shape[1], self.shape[1], dtype=torch.float64, device=self.D.device)
        for chosen, piece in self.pieces():
            total += U[chosen].to(piece).T @ piece
        return total

    def from_right(self, Vh: Tensor) -> Tensor:
        """O(mnk)."""
        V = Vh.to(self.D.device, torch.float64).T
        return torch.cat([piece @ V for _, piece in self.pieces()])

    def rows(self, chosen: Tensor | slice) -> Tensor:
        """A copy in float64."""
        return self.D[chosen].to(torch.float64)

    def singular_values(self) -> Tensor:
        """O(mn·min(m, n)); see `spectra.singular_values`."""
        return singular_values(self.D)

    def leading(self, k: int) -> Triplets:
        """By LAPACK in float64 up to min(m, n) = 512 and where the fast solver is not sure, else by that one."""
        if min(self.shape) > SMALL:
            found = top_triplets(self.D.to(torch.float32), k)
            if found is not None and float(found.triplets.S[-1]) > RESOLVED * float(found.triplets.S[0]):
                return found.triplets
        every = exact_svd(self.D)
        return every.slice(0, min(k, numerical_rank(every.S, torch.Size(self.shape))))


def energy(X: Tensor) -> float:
    """‖X‖_F² in float64."""
    return math.pow(float(torch.linalg.vector_norm(X, dtype=torch.float64)), 2)
