"""Every promise in every method's record, measured against NumPy's float64 SVD on matrices of known spectrum."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from stiefel import UserError, attach
from stiefel.methods import STARTS
from tests.oracles.geora import reference_w_geo

EPS32, EPS64 = np.finfo(np.float32).eps, np.finfo(np.float64).eps
RANK = 4
MATRICES = {  # shape, singular values
    "square": ((32, 32), np.geomspace(8, 0.01, 32)),
    "tall": ((40, 24), np.geomspace(8, 0.01, 24)),
    "wide": ((24, 40), np.geomspace(8, 0.01, 24)),
    "flat": ((32, 24), np.linspace(2, 1, 24)),
    "full rank": ((RANK, 24), np.array([5.0, 3.0, 2.0, 1.0])),
    "clusters": ((24, 24), np.repeat([6.0, 3.0, 2.0, 1.0, 0.5, 0.1], 4)),
}


def with_spectrum(shape, values, seed=0) -> torch.Tensor:
    """UΣVᵀ with Haar-random U and V, rounded to float32."""
    rng = np.random.default_rng(seed)
    U, V = (np.linalg.qr(rng.standard_normal((side, len(values))))[0] for side in shape)
    return torch.from_numpy((U * values) @ V.T).float()


def matrix_of(method, W: torch.Tensor) -> torch.Tensor:
    """The matrix that a method's claims are about: W, or W_Geo as NumPy makes it."""
    return W if method.claims.matrix == "W" else torch.from_numpy(reference_w_geo(method.name, W, RANK))


def part_of(W, part: str, A=None, rank: int = RANK):
    """(U, S, Vᵀ, gap) of a part of W by NumPy in float64; gap to the nearest singular value left out.

    "random" is whichever r directions A's rows point along: if they point elsewhere, no choice of r fits them.
    """
    U, S, Vh = np.linalg.svd(W.double().numpy(), full_matrices=False)
    k = int((max(W.shape) * EPS64 * S[0] < S).sum())
    kept = {"top": np.arange(rank), "bottom": np.arange(k - rank, k)}.get(part)
    if part == "random":
        kept = np.sort(np.argsort(-np.diag(Vh[:k] @ row_projector(A) @ Vh[:k].T))[:rank])
    left_out = np.setdiff1d(np.arange(k), kept)
    gap = np.abs(S[kept, None] - S[left_out]).min(initial=S[0])
    return U[:, kept], S[kept], Vh[kept], gap


def row_projector(A: torch.Tensor) -> np.ndarray:
    """The orthogonal projector onto A's row space; rows are scaled to length 1 first, which does not change it."""
    rows = A.double().numpy()
    Q, _ = np.linalg.qr((rows / np.linalg.norm(rows, axis=1, keepdims=True)).T)
    return Q @ Q.T


def subspace_bound(W, rank: int, gap: float) -> float:
    """How far two float64 SVDs may differ (Wedin: c·ε·σ₁/gap, c = m + n each), plus float32 rounding of unit rows."""
    sigma = np.linalg.norm(W.double().numpy(), 2)
    return 2 * sum(W.shape) * EPS64 * sigma / gap + 2 * 2 * math.sqrt(rank) * EPS32


def claiming(claim: str, value: object = None, of: str | None = None) -> pytest.MarkDecorator:
    """Run for every method that makes this claim (with this value, of this matrix, where they are given)."""
    methods = [
        m
        for m in STARTS
        if getattr(m.claims, claim) and value in (None, getattr(m.claims, claim)) and of in (None, m.claims.matrix)
    ]
    return pytest.mark.parametrize("method", methods, ids=[m.name for m in methods])


@pytest.fixture(params=MATRICES)
def W(request) -> torch.Tensor:
    return with_spectrum(*MATRICES[request.param])


@pytest.fixture(params=[1.0, 2.0], ids=["s=1", "s=2"])
def scaling(request) -> float:
    return request.param


def test_base_unchanged(method, make_model, logits, frozen_of, same_state):
    model = make_model(torch.bfloat16)
    base, before = logits(model), frozen_of(model)
    adapted = attach(model, method.name, r=RANK)
    assert method.claims.base_unchanged == (
        same_state(frozen_of(adapted), before) and torch.equal(logits(adapted), base)
    )


@claiming("a_orthonormal")
def test_a_orthonormal(method, W, make_layer):
    A = method.factors(make_layer(method, W, RANK)).A.double().numpy()
    assert np.abs(A @ A.T - np.eye(RANK)).max() <= 1e-6


@claiming("b_orthonormal")
def test_b_orthonormal(method, W, make_layer):
    B = method.factors(make_layer(method, W, RANK)).B.double().numpy()
    assert np.abs(B.T @ B - np.eye(RANK)).max() <= 1e-6


@claiming("a_row_norm")
def test_a_row_norm(method, make_layer):
    c = method.claims.a_row_norm
    n, rank, layers = 512, 8, 16
    rows = torch.cat(
        [method.factors(make_layer(method, torch.ones(16, n), rank, seed=seed)).A for seed in range(layers)]
    )
    # ‖a‖² is a mean of n squares; a kurtosis of at most 3 (normal) gives it a variance of at most 2c⁴/n; 5σ
    deviation = math.sqrt(2 / (n * rank * layers)) * c**2
    assert abs(float(rows.double().square().sum(1).mean()) - c**2) <= 5 * deviation
    assert abs(float(rows.double().mean())) <= 5 * c / math.sqrt(n) / math.sqrt(rows.numel()), "not centred"


def test_b_zero(method, W, scaling, make_layer):
    B = method.factors(make_layer(method, W, RANK, scaling)).B
    assert (B.count_nonzero() == 0) == method.claims.b_zero


@claiming("subspace")
def test_subspace(method, W, scaling, make_layer):
    M = matrix_of(method, W)
    A, B, _ = vars(method.factors(make_layer(method, W, RANK, scaling))).values()
    U, _, Vh, gap = part_of(M, method.claims.subspace, A)
    assert np.linalg.norm(row_projector(A) - Vh.T @ Vh) <= subspace_bound(M, RANK, gap)
    if method.anchored:
        assert np.linalg.norm(row_projector(B.T) - U @ U.T) <= subspace_bound(M, RANK, gap)


@claiming("start")
@pytest.mark.parametrize("sigma", ["divided", "undivided"])
def test_start(method, W, scaling, sigma, make_layer):
    M = matrix_of(method, W)
    factors = method.factors(make_layer(method, W, RANK, scaling, sigma=sigma))
    U, S, Vh, gap = part_of(M, method.claims.start, factors.A)
    product = scaling * factors.B.double().numpy() @ factors.A.double().numpy()
    expected = (1.0 if sigma == "divided" else scaling) * (U * S) @ Vh
    # each triplet is a product of two factors, each rounded ≤ 4 times (Σ to float32, /s, √, the vector, times the root)
    rounding = 8 * EPS32 / 2 * np.linalg.norm(expected, "nuc")
    wedin = 2 * sum(W.shape) * EPS64 * np.linalg.norm(M.double().numpy(), 2) / gap * np.linalg.norm(expected)
    assert np.linalg.norm(product - expected) <= rounding + 2 * wedin


def test_seeded(method, W, make_layer):
    first, again, other = (method.factors(make_layer(method, W, RANK, seed=seed)).A for seed in (3, 3, 4))
    elsewhere = method.factors(make_layer(method, W, RANK, seed=3, name="another")).A
    assert torch.equal(first, again)
    no_choice = method.claims.subspace == "random" and min(W.shape) == RANK  # all directions are taken
    for changed in (other, elsewhere):
        assert torch.equal(first, changed) != (method.claims.seeded and not no_choice)


def test_shape_only(method, W, make_layer):
    first = method.factors(make_layer(method, W, RANK)).A
    other = method.factors(make_layer(method, W.flip(0, 1), RANK, scaling=2.0, seed=5, name="another")).A
    assert torch.equal(first, other) == method.claims.shape_only


def test_a_start_that_needs_no_triplets_does_not_look_at_w(method, W, make_layer):
    first, other = (method.factors(make_layer(method, matrix, RANK)) for matrix in (W, W.flip(0, 1)))
    assert torch.equal(first.A, other.A) == (method.needs is None)


def test_a_record_is_consistent(method):
    claims = method.claims
    assert (claims.start or claims.subspace) == claims.subspace, "a part of W spans its subspace"
    needed = "all" if claims.subspace == "random" else claims.subspace
    assert needed == method.needs, "a method asks for the triplets that it claims"
    assert not (claims.b_zero and claims.start), "B = 0 starts at no part of W"
    assert not (claims.b_zero and claims.b_orthonormal), "B = 0 has no directions"
    assert not (claims.a_orthonormal and claims.a_row_norm), "orthonormal rows have norm 1"
    assert not (claims.shape_only and (claims.seeded or method.needs)), "nothing but the shape"


@claiming("subspace", "bottom", of="W")
def test_bottom_takes_no_null_directions(method, make_layer):
    """An integer matrix of exact rank 10: the last positive directions are the 7th to 10th, not the 21st to 24th."""
    rng = np.random.default_rng(5)
    W = torch.from_numpy(rng.integers(-4, 5, (32, 10)) @ rng.integers(-4, 5, (10, 24))).float()
    null = np.linalg.svd(W.double().numpy())[2][10:]
    _, _, Vh, gap = part_of(W, "bottom")
    A = method.factors(make_layer(method, W, RANK)).A
    bound = subspace_bound(W, RANK, gap)
    assert np.abs(null @ A.double().numpy().T).max() <= bound * float(A.norm())
    assert np.linalg.norm(row_projector(A) - Vh.T @ Vh) <= bound


@claiming("subspace", of="W")
def test_more_directions_than_there_are_is_refused(method, make_layer):
    W = with_spectrum((16, 16), np.array([3.0, 2.0, 1.0]))
    W = torch.cat([W[:3], torch.zeros(13, 16)])  # rank 3 exactly
    with pytest.raises(UserError, match="only 3 positive"):
        method.factors(make_layer(method, W, RANK))


@claiming("subspace", of="W")
@pytest.mark.parametrize("cut", [2, 4, 6], ids=["inside", "at the edge", "inside the second"])
def test_a_rank_that_cuts_a_tie_stays_within_its_cluster(method, cut, make_layer):
    """Σ = 4, 4, 4, 4, 1, …, 1 exactly: any r directions of the cluster are right, and none from outside is."""
    hadamard = np.array([[1.0]])
    for _ in range(3):
        hadamard = np.block([[hadamard, hadamard], [hadamard, -hadamard]])
    values = np.array([4.0] * 4 + [1.0] * 4)
    W = torch.from_numpy(np.diag(values) @ hadamard).float()  # exact in float32, singular values √8 times `values`
    order = values if method.claims.subspace == "top" else -values
    inside = np.argsort(-order, kind="stable")[: 4 if cut <= 4 else 8]
    allowed = hadamard[inside].T @ hadamard[inside] / 8
    A = method.factors(make_layer(method, W, cut)).A
    P = row_projector(A)
    bound = subspace_bound(W, cut, 3 * math.sqrt(8))
    assert np.linalg.norm(P - allowed @ P) <= bound
    if cut >= 4:
        whole = hadamard[inside[:4]].T @ hadamard[inside[:4]] / 8
        assert np.linalg.norm(whole - P @ whole) <= bound
