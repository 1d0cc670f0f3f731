"""Just the r singular triplets that a method needs: block Krylov for the top, shift-and-invert for the bottom.

Both work in float32 on the tall orientation of W, and both stop on what they measure: the share of energy that one
more block of the Krylov space still adds. Where the product U diag(S) Vh itself is wanted see product.py.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .gram import gram, images
from .linalg import Triplets, canonical_signs

OVERSAMPLE = 8  # columns of a block beyond r
ENERGY_CHANGE = 2e-4  # what the last block added, relative; what further ones would add falls geometrically
TAIL_CHANGE = 4e-3  # the same of Σ_{i≥j}σ_i² for every j: a dominant σ₁ must not hide what follows it
SURE = 0.05  # residual above which a solution is none: rounding spoiled it
BOTTOM_CHANGE = 1e-3  # the bottom's energy is needed to 1%, and what further blocks would take off falls geometrically
MAX_COLUMNS, MAX_SHARE = 720, 0.6  # of the Krylov space, of n: beyond both the exact solver is the cheaper one
SEED = 0  # of the starting block: the same matrix gives the same bytes


@dataclass(frozen=True)
class Solution:
    """Triplets in float64, and their error: the largest ‖Wᵀu_i − σ_iv_i‖/σ₁ or ‖Wv_i − σ_iu_i‖/σ₁."""

    triplets: Triplets
    residual: float
    angle: float = 1.0  # a bound of the sine of the largest angle to W's own spans; 1 where none is known


def orthonormal(X: Tensor, against: Tensor | None = None) -> Tensor:
    """Orthonormal columns of X, orthogonal to `against`'s; twice is enough (Giraud et al., Numer. Math. 101, 2005).

    Of columns of length 1, that is: where `against` nearly spans X already, as with ties and low rank, a projection
    leaves rounding, which the next one must be given normalised, until it takes nothing out any more.
    """
    Q: Tensor = torch.linalg.qr(X if against is None else X - against @ (against.T @ X))[0]
    if against is not None:
        for _ in range(4):
            Q, R = torch.linalg.qr(Q - against @ (against.T @ Q))
            if float(R.diagonal().abs().min()) > 0.5:
                break
    return Q


def tall_view(W: Tensor) -> Tensor:
    """W or Wᵀ, whichever has more rows than columns: a view."""
    return W if W.shape[0] >= W.shape[1] else W.T


def oriented(found: Triplets, W: Tensor) -> Triplets:
    """Triplets of the tall view as canonical triplets of W."""
    return canonical_signs(found if W.shape[0] >= W.shape[1] else Triplets(found.Vh.T, found.S, found.U.T))


def sure(found: Solution, W: Tensor) -> Solution | None:
    """A solution of the tall view as one of W; None where its residual says that it is none."""
    return Solution(oriented(found.triplets, W), found.residual, found.angle) if found.residual <= SURE else None


def start_block(n: int, columns: int, W: Tensor) -> Tensor:
    """A seeded Gaussian block (n, columns), orthonormalised, on W's device."""
    generator = torch.Generator().manual_seed(SEED)
    return orthonormal(torch.randn(n, columns, generator=generator, dtype=torch.float32).to(W.device))


def top_triplets(W: Tensor, r: int) -> Solution | None:
    """The r largest triplets of W (m, n) in float32 by a block Krylov method; None where it did not converge.

    K = [X, AᵀAX, …, (AᵀA)^qX], A the tall view; the singular triplets of A restricted to K. Each further block costs
    4mn(r + 8) operations and the orthogonalisation. Source: Musco and Musco, NeurIPS 2015, Algorithm 2.
    """
    A = tall_view(W)
    n = A.shape[1]
    block = min(n, r + OVERSAMPLE)
    K, Y, Z = [start_block(n, block, W)], [], []  # an orthonormal basis in blocks, A K and AᵀA K
    inner = torch.zeros(0, 0, dtype=torch.float64, device=W.device)  # of Y
    tails = torch.zeros(r, dtype=torch.float64, device=W.device)
    while True:
        image, back = images(A, K[-1])
        Y.append(image)
        Z.append(back)
        inner = bordered(inner, Y)
        now = tail_energies(inner, r)
        added = (now - tails) / now
        if (float(added[0]) <= ENERGY_CHANGE and float(added.max()) <= TAIL_CHANGE) or block == n:
            return sure(ritz(A, K, Y, Z, r), W)
        tails = now
        if (len(K) + 1) * block > most_columns(n):
            return None
        K.append(orthonormal(Z[-1], torch.cat(K, 1)))


def most_columns(n: int) -> int:
    """The largest Krylov space that is built before the exact solver is asked: at rank 128 five blocks are too few."""
    return min(n, max(MAX_COLUMNS, int(MAX_SHARE * n)))


def bordered(inner: Tensor, Y: list[Tensor]) -> Tensor:
    """YᵀY of all blocks in float64, from that of all but the last: squares of float32 are exact there."""
    new = Y[-1].to(torch.float64)
    corner = new.T @ new
    if len(Y) == 1:
        return corner
    cross = torch.cat(Y[:-1], 1).to(torch.float64).T @ new
    return torch.cat([torch.cat([inner, cross], 1), torch.cat([cross.T, corner], 1)])


def tail_energies(inner: Tensor, r: int) -> Tensor:
    """Σ_{i≥j}^r λ_i for j = 1 … r of the r largest eigenvalues of a Gram matrix; positive even where they are not."""
    values: Tensor = torch.linalg.eigvalsh(inner)[-r:].clamp(min=torch.finfo(torch.float64).tiny)
    tails: Tensor = values.cumsum(0).flip(0)
    return tails


def ritz(A: Tensor, K: list[Tensor], Y: list[Tensor], Z: list[Tensor], r: int) -> Solution:
    """The r largest singular triplets of A on the span of the orthonormal K, from Y = AK and Z = AᵀY.

    With Y = QR and R = PSTᵀ: u = QP, v = KT. Av = σu holds by construction; the residual is Aᵀu − σv, where
    Aᵀu = AᵀA K T S⁻¹ = Z T S⁻¹, or one more product where S⁻¹ would blow Z's rounding up.
    """
    Q, R = torch.linalg.qr(torch.cat(Y, 1))
    P, S, Th = torch.linalg.svd(R.to(torch.float64))
    P, S, T = P[:, :r], S[:r], Th[:r].T
    U, V = Q @ P.to(Q), torch.cat(K, 1) @ T.to(Q)
    resolved = float(S[-1]) > 0.1 * float(S[0])
    image = (torch.cat(Z, 1) @ T.to(Q)).to(torch.float64) / S if resolved else (A.T @ U).to(torch.float64)
    residual = image - V * S
    worst = float(torch.linalg.vector_norm(residual, dim=0).max() / S[0])
    return Solution(Triplets(closest_orthonormal(U), S, closest_orthonormal(V).T), worst)


def closest_orthonormal(X: Tensor) -> Tensor:
    """Nearly orthonormal columns made so in float64: X(3I − XᵀX)/2 (Newton–Schulz) squares the error."""
    X = X.to(torch.float64)
    for _ in range(2):
        X = X @ (1.5 * torch.eye(X.shape[1], dtype=X.dtype, device=X.device) - 0.5 * (X.T @ X))
    return X


def bottom_triplets(W: Tensor, r: int, dtype: torch.dtype = torch.float32) -> Solution | None:
    """The r smallest triplets of a W (m, n) of full rank; None where `dtype` does not resolve them.

    With AᵀA = RᵀR a block Krylov space of (RᵀR)⁻¹, two triangular solves a step, and the smallest triplets of A on it.
    R is Cholesky's where the spectrum is narrow enough for a squared matrix, half as dear, and else QR's.
    """
    A = tall_view(W).to(dtype)
    m, n = A.shape
    if m >= NARROW * n:  # a matrix this tall is seldom ill-conditioned
        G = gram(A, dtype).to(dtype)
        R, failed = torch.linalg.cholesky_ex(G, upper=True)
        if not failed:
            found = inverse_krylov(A, W, R, r, SQUARED_FLOOR[dtype])
            if found is not None:
                return found
        del G, R
    R = torch.linalg.qr(A, mode="r")[1]
    eps = torch.finfo(dtype).eps
    return inverse_krylov(A, W, R, r, max(16 * eps, max(m, n) * torch.finfo(torch.float64).eps))


NARROW = 1.5  # rows per column
SQUARED_FLOOR = {torch.float32: 4e-3, torch.float64: 1e-6}  # σ_k/σ₁ whose square stands well above the rounding of AᵀA


def norm_estimate(R: Tensor) -> float:
    """σ₁ of R (n, n) to a few percent from below, by four power steps on a block."""
    X = start_block(R.shape[1], min(R.shape[1], OVERSAMPLE), R).to(R.dtype)
    for _ in range(4):
        X = orthonormal(R.T @ (R @ X))
    return float(torch.linalg.matrix_norm(R @ X, 2))


def inverse_krylov(A: Tensor, W: Tensor, R: Tensor, r: int, resolved: float) -> Solution | None:
    """The r smallest triplets of A by a block Krylov method for (RᵀR)⁻¹; None where σ_k/σ₁ is not above `resolved`."""
    n, largest = R.shape[0], norm_estimate(R)
    floor = resolved * largest
    if float(R.diagonal().abs().min()) <= floor:
        return None
    block = min(n, r + OVERSAMPLE)
    new = start_block(n, block, W).to(R.dtype)
    K, RK = new, (R @ new).to(torch.float64)
    inner = RK.T @ RK  # of A on K, through R, which is small
    energy = float("inf")
    while True:
        X = torch.linalg.solve_triangular(R, torch.linalg.solve_triangular(R.T, new, upper=False), upper=True)
        new = orthonormal(X / torch.linalg.vector_norm(X, dim=0), K)
        image = (R @ new).to(torch.float64)
        cross = RK.T @ image
        inner = torch.cat([torch.cat([inner, cross], 1), torch.cat([cross.T, image.T @ image], 1)])
        K, RK = torch.cat([K, new], 1), torch.cat([RK, image], 1)
        values, T = torch.linalg.eigh(inner)
        now = float(values[:r].sum())
        if energy - now <= BOTTOM_CHANGE * now or K.shape[1] + block > n:
            break
        if K.shape[1] + block > most_columns(n):
            return None
        energy = now
    V = closest_orthonormal(K @ T[:, :r].to(K))
    # σ and u by a product with A itself, which undoes R's rounding
    P, S, Th = torch.linalg.svd((A @ V.to(A)).to(torch.float64), full_matrices=False)
    if float(S[-1]) <= floor:
        return None
    V = V @ Th.T
    residual = (A.T @ P.to(A)).to(torch.float64) - V * S
    worst = float(torch.linalg.vector_norm(residual, dim=0).max()) / largest
    return sure(Solution(Triplets(P, S, V.T), worst), W)
