"""Every measure of a change, from factors or dense, is the dense float64 computation's to 1e-6."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from stiefel.geometry import (
    DenseChange,
    LowRankChange,
    aligned_coefficients,
    aligned_distribution,
    angles_between,
    chance,
    cumulative_energy,
    effective_rank,
    normalized_spectral_shift,
    orthonormality_error,
    principal_angles,
    product_norm,
    singular_values,
    spectral_shift_bound,
    stable_rank,
    subspace_shares,
    subspace_similarity,
)
from stiefel.spectrum.linalg import exact_svd

from . import reference
from .conftest import RANK, SHAPES, make_case

close = {"rel": 1e-6, "abs": 0.0}


def test_the_norm(case) -> None:
    assert case.change.norm == pytest.approx(np.linalg.norm(case.D), **close)


@pytest.mark.parametrize("size", [1e-2, 1e-5, 1e-7, 0.0])
def test_a_small_difference_of_large_products(size) -> None:
    """s(BA − B₀A₀) as PEFT writes it, [B, −B₀][A; A₀]: all figures to 1e-6, and 0 where nothing was trained."""
    generator = torch.Generator().manual_seed(0)
    A0, dA = (torch.randn(RANK, 48, generator=generator, dtype=torch.float64) for _ in range(2))
    B0, dB = (torch.randn(32, RANK, generator=generator, dtype=torch.float64) for _ in range(2))
    A, B = A0 + size * dA, B0 + size * dB
    change = LowRankChange(torch.cat([B, -B0], dim=1), torch.cat([A, A0]))
    D = ((B - B0) @ A + B0 @ (A - A0)).numpy()
    assert change.norm == pytest.approx(np.linalg.norm(D), **close)
    basis = exact_svd(torch.randn(32, 48, generator=generator))
    if not size:
        assert change.norm == len(change.singular_values()) == len(change.leading(RANK).S) == 0
        return
    W = ((basis.U * basis.S) @ basis.Vh).numpy()
    assert subspace_shares(change, basis.slice(0, RANK))._asdict() == pytest.approx(reference.head(W, D, RANK), **close)
    assert stable_rank(change.singular_values()) == pytest.approx(reference.stable_rank(D), **close)
    # PEFT's form leaves 10⁻¹⁶ of the products in each entry, which is that over `size` of the change's own values
    assert change.singular_values()[: 2 * RANK].numpy() == pytest.approx(
        np.linalg.svd(D, compute_uv=False)[: 2 * RANK], rel=1e-6
    )


@pytest.mark.parametrize("tail", [False, True])
def test_head_and_tail(case, tail) -> None:
    found = subspace_shares(case.change, case.part(tail=tail))
    expected = reference.head(case.dense_W, case.D, RANK, tail=tail)
    assert found._asdict() == pytest.approx(expected, **close)
    assert found.both == pytest.approx((expected["left"] + expected["right"]) / 2, **close)


def test_the_aligned_coefficients_and_what_is_made_of_them(case) -> None:
    c = aligned_coefficients(case.change, case.basis)
    expected = reference.coefficients(case.dense_W, case.D)
    # a coefficient may cancel: the error is that of its largest terms
    assert c.numpy() == pytest.approx(expected, rel=1e-6, abs=1e-9 * np.abs(expected).max())
    assert aligned_distribution(c).numpy() == pytest.approx(np.abs(expected) / np.abs(expected).sum(), rel=1e-6)
    assert cumulative_energy(c).numpy() == pytest.approx(np.cumsum(expected**2) / np.sum(expected**2), rel=1e-6)


def test_the_spectral_shift_and_its_bound(case) -> None:
    W = case.W.double()
    found = normalized_spectral_shift(singular_values(W), singular_values(W + case.change.rows(slice(None))))
    assert found == pytest.approx(reference.nss(case.dense_W, case.D), **close)
    assert found <= spectral_shift_bound(float(W.norm()), case.change.norm)


def test_the_ranks_of_the_change(case) -> None:
    S = case.change.singular_values()
    assert stable_rank(S) == pytest.approx(reference.stable_rank(case.D), **close)
    assert effective_rank(S) == pytest.approx(reference.effective_rank(case.D), **close)


@pytest.mark.parametrize("tail", [False, True])
def test_the_angles_are_scipy_s(case, tail) -> None:
    own, part = case.change.leading(RANK), case.part(tail=tail)
    assert len(own.S) == RANK
    for side, theirs, mine in (("left", part.U, own.U), ("right", part.Vh.T, own.Vh.T)):
        expected = reference.angles(case.D, case.dense_W, RANK, side, tail=tail)
        assert angles_between(theirs, mine).numpy() == pytest.approx(expected, **close)


@pytest.mark.parametrize("angle", [0.0, 1e-7, 1e-3, 0.7, 1.5, np.pi / 2])
def test_small_and_large_angles_are_exact(angle) -> None:
    """The cosine of 1e-7 is 1 to the last bit: it must come from the sine."""
    X = torch.eye(5, 2, dtype=torch.float64)
    Y = torch.zeros(5, 2, dtype=torch.float64)
    Y[0, 0], Y[1, 1], Y[2, 1] = 1.0, np.cos(angle), np.sin(angle)
    assert principal_angles(X, Y).numpy() == pytest.approx([0.0, angle], rel=1e-9, abs=1e-12)


def test_angles_with_a_smaller_space_are_as_many_as_it_has_directions() -> None:
    X = torch.eye(6, 4, dtype=torch.float64)
    assert angles_between(X, X[:, :1]).tolist() == [0.0]
    assert angles_between(X[:, :1], X).tolist() == [0.0]


@pytest.mark.parametrize("tail", [False, True])
def test_the_similarity_of_a_factor(case, tail) -> None:
    found = subspace_similarity(case.A, case.part(tail=tail).Vh)
    assert found == pytest.approx(reference.similarity(case.A.double().numpy(), case.dense_W, RANK, tail=tail), **close)


def test_the_start_s_norm_and_the_drift(case) -> None:
    A = case.A
    B = torch.randn(case.W.shape[0], RANK, generator=torch.Generator().manual_seed(1))
    assert product_norm(B, A) == pytest.approx(np.linalg.norm(B.double().numpy() @ A.double().numpy()), **close)
    gram = A.double().numpy() @ A.double().numpy().T
    assert orthonormality_error(A) == pytest.approx(np.abs(gram - np.eye(RANK)).max(), **close)


def test_pieces_and_rows_are_the_change(case) -> None:
    whole = torch.cat([piece for _, piece in case.change.pieces()]).numpy()
    assert whole == pytest.approx(case.D, rel=1e-6, abs=1e-9)
    assert torch.equal(case.change.rows(torch.tensor([3, 1])), case.change.rows(slice(None))[[3, 1]])


@pytest.mark.parametrize("form", ["plain", "dense"])
def test_chance_is_what_random_changes_have(form, shape) -> None:
    """The mean over 200 changes, to five of its own standard errors."""
    found = []
    for seed in range(200):
        case = make_case(shape, form, seed)
        found.append(subspace_shares(case.change, case.part()).both)
    error = np.std(found) / np.sqrt(len(found))
    assert np.mean(found) == pytest.approx(chance(shape, RANK), abs=5 * error)


@pytest.mark.parametrize("zero", [LowRankChange(torch.zeros(8, 2), torch.ones(2, 6)), DenseChange(torch.zeros(8, 6))])
def test_no_change_divides_nothing_by_zero(zero) -> None:
    basis = exact_svd(torch.randn(8, 6))
    assert zero.norm == 0.0
    assert subspace_shares(zero, basis) == (0.0, 0.0, 0.0)
    c = aligned_coefficients(zero, basis)
    assert not aligned_distribution(c).any()
    assert not cumulative_energy(c).any()
    assert stable_rank(zero.singular_values()) == effective_rank(zero.singular_values()) == 0.0
    assert len(zero.leading(2).S) == 0
    assert normalized_spectral_shift(torch.zeros(3), torch.zeros(3)) == spectral_shift_bound(0.0, 0.0) == 0.0
    assert subspace_similarity(torch.zeros(2, 6), basis.Vh) == 0.0


def test_ranks_of_known_spectra() -> None:
    equal = torch.full((5,), 3.0)
    assert stable_rank(equal) == pytest.approx(5)
    assert effective_rank(equal) == pytest.approx(5)
    assert stable_rank(torch.tensor([2.0, 0.0])) == effective_rank(torch.tensor([2.0, 0.0])) == 1.0


def test_a_low_rank_dense_change_has_only_its_own_directions() -> None:
    case = make_case(SHAPES["tall"], "plain")
    assert len(DenseChange(torch.from_numpy(case.D)).leading(10).S) == RANK


def test_large_matrices_have_the_same_figures() -> None:
    """Beyond min(m, n) = 512 the spectrum comes from QR in float32, the leading directions from the fast solver."""
    generator = torch.Generator().manual_seed(3)
    W = torch.randn(700, 560, generator=generator)
    D = torch.randn(700, 6, generator=generator) @ torch.randn(6, 560, generator=generator)
    D += 0.01 * torch.randn(700, 560, generator=generator)
    change = DenseChange(D)
    exact = np.linalg.svd(W.double().numpy(), compute_uv=False)
    rounding = exact[0] * 560**0.5 * np.finfo(np.float32).eps
    assert singular_values(W).numpy() == pytest.approx(exact, abs=rounding)
    own = change.leading(4)
    expected = np.linalg.svd(D.double().numpy())
    angles = principal_angles(torch.from_numpy(expected[0][:, :6]), own.U)
    assert float(angles.max()) < 0.05  # six directions stand out a hundredfold: the four lie among them
    assert own.S.numpy() == pytest.approx(expected[1][:4], rel=1e-3)
