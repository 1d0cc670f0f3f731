"""The change of one weight matrix, ΔW = W⁺ − W (m, n): of two factors from an adapter, dense from full fine-tuning."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from functools import cached_property

import torch
from torch import Tensor

from ..linalg import PIECE, Triplets, exact_svd, frobenius_norm, numerical_rank
from ..solver import top_triplets
from ..spectrum import RESOLVED
from .spectra import SMALL, singular_values


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
        """‖LR‖_F = √tr(LᵀL·RRᵀ), O((m + n)p²)."""
        return float(((self.L.T @ self.L) * (self.R @ self.R.T)).sum().clamp(min=0).sqrt())

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
    def triplets(self) -> Triplets:
        """All positive triplets: QR of both factors, and the SVD of a (p, p) core, O((m + n)p²)."""
        Q, T = torch.linalg.qr(self.L)
        P, S = torch.linalg.qr(self.R.T)
        U, values, Vh = torch.linalg.svd(T @ S.T, full_matrices=False)
        found = Triplets(Q @ U, values, Vh @ P.T)
        return found.slice(0, numerical_rank(values, torch.Size(self.shape)))

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
