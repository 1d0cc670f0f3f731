"""The largest eigenpairs of a symmetric matrix that is at hand, with a bound of how far their span is off."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from .solver import orthonormal
from .threads import each

WHOLE = 640  # rows up to which LAPACK's eigenvectors of the whole matrix are the cheaper ones
BLOCK = 8  # columns; fewer read the matrix more often, more need a larger space
EVERY = 4  # blocks between two looks at what was found
SPENT = 1e-6  # of the matrix's size: what is left of a column of a block where the space has taken in its directions
SEED = 0  # of the starting block: the same matrix gives the same bytes


@dataclass(frozen=True)
class Leading:
    """r eigenvectors of the largest eigenvalues, descending, and an upper estimate of the next eigenvalue."""

    vectors: Tensor  # (n, r), orthonormal
    following: float


def leading_eigenvectors(G: Tensor, r: int, enough: float, floor: float) -> Leading:
    """The r < n leading eigenvectors, in float64, of G (n, n), symmetric and positive semidefinite, in either type.

    Block Lanczos with full orthogonalisation, until ‖GV − VΛ‖_F, which it knows without a product, is at most
    `enough`·(λ_r − λ_{r+1}), when the span is off by that angle (Davis and Kahan, SIAM J. Numer. Anal. 7, 1970), or
    `floor`·λ₁, beyond which G itself is not known. Each step costs 2n²b operations at the speed of reading G. A small
    G, and one whose spectrum is so flat that the space would take in half of all directions, is left to LAPACK.
    Source: Golub and Underwood, The block Lanczos method for computing eigenvalues, 1977.
    """
    n = G.shape[0]
    block, most = max(BLOCK, r // 8), n // 2
    if n <= WHOLE or 3 * r + 4 * block > most:
        return of_whole(G, r)
    generator = torch.Generator().manual_seed(SEED)
    start = torch.randn(n, 2 * block, generator=generator, dtype=torch.float64).to(G.device)
    new, fresh = torch.linalg.qr(start[:, :block])[0], start[:, block:]
    space, steps = Space(G, most), 0
    while space.size + new.shape[1] <= most:
        new, coupling = space.grow(new)
        steps += 1
        if steps % EVERY or space.size < 2 * r + block:
            continue
        values, vectors = space.eigenpairs()
        errors = torch.linalg.vector_norm(coupling @ vectors[-len(coupling) :, -r - 1 :], dim=0)
        following = float(values[-r - 1] + errors[0])
        error = float(torch.linalg.vector_norm(errors[1:]))
        if error > max(enough * (float(values[-r]) - following), floor * math.sqrt(r) * float(values[-1])):
            continue
        if new.shape[1] > block:
            return Leading((vectors[:, -r:].T @ space.K[: space.size]).flip(0).T.contiguous(), following)
        # a value that is there more often than a block has columns is found only so often: look once more, from others
        known = torch.cat([space.K[: space.size], new.T]).T
        new = torch.cat([new, orthonormal(fresh, known)], dim=1)
    return of_whole(G, r)


class Space:
    """An orthonormal basis K, in rows (see `times`), of which all but the newest have GK in its span, and KGKᵀ."""

    def __init__(self, G: Tensor, most: int) -> None:
        self.G, self.size = G, 0
        self.K = torch.empty(most, len(G), dtype=torch.float64, device=G.device)
        self._inner = torch.zeros(most, most, dtype=torch.float64, device=G.device)  # KGKᵀ, its upper half
        self._small = SPENT * float(G.diagonal().max())  # which is λ₁ from below
        self._last = 0  # rows of the last block

    def grow(self, new: Tensor) -> tuple[Tensor, Tensor]:
        """Take in some columns, orthonormal and orthogonal to K; returns (Q, R), QR = the part of G·new beyond K."""
        K, begin = self.K, self.size - self._last
        self._last = new.shape[1]
        inside = slice(self.size, self.size + self._last)
        K[inside] = new.T
        self.size = inside.stop
        image = times(K[inside], self.G)
        # in exact arithmetic the last two blocks are all that it is not orthogonal to; if they were not taken out
        # first, what rounding leaves of them would grow from step to step
        for first in (begin, 0):
            part = image @ K[first : self.size].T
            self._inner[first : self.size, inside] += part.T
            image -= part @ K[first : self.size]
        basis, coupling = torch.linalg.qr(image.T)
        if float(coupling.diagonal().abs().min()) <= self._small:  # rounding, which need not be orthogonal to K
            basis = orthonormal(basis, K[: self.size].T)
        return basis, coupling

    def eigenpairs(self) -> tuple[Tensor, Tensor]:
        """Of KGKᵀ, ascending."""
        upper = self._inner[: self.size, : self.size]
        values, vectors = torch.linalg.eigh(upper.triu() + upper.triu(1).T)
        return values, vectors


def times(rows: Tensor, G: Tensor) -> Tensor:
    """A few rows times G, in G's type, as float64: of few columns BLAS makes GX in three times the time."""
    narrow = rows.to(G.dtype)
    pieces = each(lambda columns: narrow @ G[:, columns], cuts(len(G)), pays=large(G))
    return torch.cat(pieces, dim=1).to(torch.float64)


def large(G: Tensor) -> bool:
    """Whether a second thread pays: the matrix does not lie in one processor's cache."""
    return G.dtype == torch.float64 and len(G) > 1024 and G.device.type == "cpu"


def cuts(n: int) -> list[slice]:
    """Four ranges of columns."""
    step = -(-n // 4)
    return [slice(start, min(n, start + step)) for start in range(0, n, step)]


def of_whole(G: Tensor, r: int) -> Leading:
    """By LAPACK, O(n³)."""
    values, vectors = torch.linalg.eigh(G.to(torch.float64))
    return Leading(vectors[:, -r:].flip(1).contiguous(), max(0.0, float(values[-r - 1])))
