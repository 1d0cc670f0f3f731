"""Every promise in every method's record, measured against NumPy's float64 SVD on matrices of known spectrum."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from stiefel import UserError, attach
from stiefel.methods import METHODS

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


def part_of(W, side: str, rank: int = RANK):
    """(U, S, Vᵀ, gap) of W's top or bottom part by NumPy in float64; gap to the nearest singular value left out."""
    U, S, Vh = np.linalg.svd(W.double().numpy(), full_matrices=False)
    k = int((max(W.shape) * EPS64 * S[0] < S).sum())
    start = 0 if side == "top" else k - rank
    neighbours = [S[i] for i in (start - 1, start + rank) if 0 <= i < k]
    kept = slice(start, start + rank)
    gap = min((np.abs(S[kept, None] - other).min() for other in neighbours), default=S[0])
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


def claiming(claim: str, value: object = None) -> pytest.MarkDecorator:
    """Run for every method that makes this claim (with this value, where one is given)."""
    methods = [m for m in METHODS if getattr(m.claims, claim) and value in (None, getattr(m.claims, claim))]
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
    _, _, Vh, gap = part_of(W, method.claims.subspace)
    A = method.factors(make_layer(method, W, RANK, scaling)).A
    assert np.linalg.norm(row_projector(A) - Vh.T @ Vh) <= subspace_bound(W, RANK, gap)


@claiming("start")
@pytest.mark.parametrize("sigma", ["divided", "undivided"])
def test_start(method, W, scaling, sigma, make_layer):
    U, S, Vh, gap = part_of(W, method.claims.start)
    factors = method.factors(make_layer(method, W, RANK, scaling, sigma=sigma))
    product = scaling * factors.B.double().numpy() @ factors.A.double().numpy()
    expected = (1.0 if sigma == "divided" else scaling) * (U * S) @ Vh
    # each triplet is a product of two factors, each rounded ≤ 4 times (Σ to float32, /s, √, the vector, times the root)
    rounding = 8 * EPS32 / 2 * np.linalg.norm(expected, "nuc")
    wedin = 2 * sum(W.shape) * EPS64 * np.linalg.norm(W.double().numpy(), 2) / gap * np.linalg.norm(expected)
    assert np.linalg.norm(product - expected) <= rounding + 2 * wedin


def test_seeded(method, W, make_layer):
    first, again, other = (method.factors(make_layer(method, W, RANK, seed=seed)).A for seed in (3, 3, 4))
    assert torch.equal(first, again)
    assert torch.equal(first, other) != method.claims.seeded
    elsewhere = method.factors(make_layer(method, W, RANK, seed=3, name="another")).A
    assert torch.equal(first, elsewhere) != method.claims.seeded


def test_a_record_is_consistent(method):
    claims = method.claims
    assert (claims.start or claims.subspace) == claims.subspace, "a part of W spans its subspace"
    assert claims.subspace in (None, method.needs), "a method asks for the triplets that it claims"
    assert not (claims.b_zero and claims.start), "B = 0 starts at no part of W"
    assert not (claims.a_orthonormal and claims.a_row_norm), "orthonormal rows have norm 1"


@claiming("subspace", "bottom")
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


@claiming("subspace")
def test_more_directions_than_there_are_is_refused(method, make_layer):
    W = with_spectrum((16, 16), np.array([3.0, 2.0, 1.0]))
    W = torch.cat([W[:3], torch.zeros(13, 16)])  # rank 3 exactly
    with pytest.raises(UserError, match="only 3 positive"):
        method.factors(make_layer(method, W, RANK))


@claiming("subspace")
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
