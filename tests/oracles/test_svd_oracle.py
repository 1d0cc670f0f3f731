"""`exact_svd` against NumPy and SciPy, which call LAPACK themselves."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg
import torch

from stiefel.spectrum.linalg import Triplets, canonical_signs, exact_svd, numerical_rank, orthonormality_error

EPS = np.finfo(np.float64).eps
SHAPES = [(24, 24), (40, 16), (16, 40), (1, 12), (12, 1), (1, 1)]
ORACLES = {
    "numpy": lambda W: np.linalg.svd(W, full_matrices=False),
    "scipy gesvd": lambda W: scipy.linalg.svd(W, full_matrices=False, lapack_driver="gesvd"),
}


def random_matrix(shape, dtype=torch.float32, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


@pytest.mark.parametrize("oracle", ORACLES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64], ids=str)
def test_singular_values_vectors_and_product(shape, dtype, oracle):
    W = random_matrix(shape, dtype)
    exact = W.double().numpy()
    U, S, Vh = ORACLES[oracle](exact)
    ours = Triplets(*(part.numpy() for part in exact_svd(W)))
    bound = 4 * sum(shape) * EPS * S[0]  # LAPACK: backward error p(m, n)·ε·σ₁, p taken as m + n, for either solver
    assert np.abs(ours.S - S).max() <= bound
    assert np.linalg.norm((ours.U * ours.S) @ ours.Vh - exact) <= bound
    gaps = np.abs(S[:, None] - S[None]) + np.where(np.eye(len(S)), np.inf, 0)
    for i, gap in enumerate(gaps.min(axis=1)):  # pairs agree up to their common sign
        for ours_i, theirs in ((ours.Vh[i], Vh[i]), (ours.U[:, i], U[:, i])):
            assert 1 - abs(ours_i @ theirs) <= (bound / gap) ** 2 + bound


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_vectors_are_orthonormal_and_values_descend(shape):
    U, S, Vh = exact_svd(random_matrix(shape))
    assert orthonormality_error(Vh) <= 4 * sum(shape) * EPS
    assert orthonormality_error(U.T) <= 4 * sum(shape) * EPS
    assert (S.diff() <= 0).all()


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_largest_entry_of_each_right_vector_is_positive(shape):
    Vh = exact_svd(random_matrix(shape)).Vh
    assert (Vh.gather(1, Vh.abs().argmax(1, keepdim=True)) > 0).all()


def test_signs_do_not_depend_on_who_computed_them():
    W = random_matrix((20, 14))
    ours = exact_svd(W)
    flips = torch.tensor([1.0, -1.0] * 7, dtype=torch.float64)
    again = canonical_signs(Triplets(ours.U * flips, ours.S, ours.Vh * flips[:, None]))
    assert torch.equal(again.Vh, ours.Vh)
    assert torch.equal(again.U, ours.U)


def test_a_matrix_and_its_transpose_have_one_decomposition():
    W = random_matrix((30, 20))
    tall, wide = exact_svd(W), exact_svd(W.T.contiguous())
    assert torch.equal(tall.S, wide.S)
    assert torch.equal(tall.U.abs(), wide.Vh.T.abs())


@pytest.mark.parametrize("rank", [0, 1, 5, 12])
def test_numerical_rank_of_integer_matrices_is_exact(rank):
    rng = np.random.default_rng(rank)
    W = rng.integers(-3, 4, (20, rank)) @ rng.integers(-3, 4, (rank, 12))
    assert np.linalg.matrix_rank(W) == rank, "the matrix must be what its name says"
    W = torch.from_numpy(W.astype(np.float32))
    assert numerical_rank(exact_svd(W).S, W.shape) == rank


def test_orthonormality_error_is_the_largest_entry_of_the_gram_defect():
    A = torch.eye(3, 5)
    A[1, 0] = 0.25
    assert orthonormality_error(A) == 0.25
