"""The fast solver is right or says that it does not know; `auto` is always right."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from stiefel import UserError
from stiefel.spectrum.linalg import canonical_signs
from stiefel.spectrum.solver import bottom_triplets, top_triplets
from stiefel.spectrum.triplets import Spectrum

from .conftest import CASES, RANK, Case, gaussian, of_rank, with_values

EPS32, EPS64 = np.finfo(np.float32).eps, np.finfo(np.float64).eps
SAFE = sorted(set(CASES) - {"huge", "large", "small", "tiny", "forty huge rows", "all but forty rows tiny"})
SIDES = ["top", "bottom"]


def spectrum_of(W, solver="auto", converge="energy", name="model.layers.3.up_proj"):
    return Spectrum(name, tuple(W.shape), lambda: W, lambda: "none", solver, converge)


def part(case, side, r=RANK, solver="auto", converge="energy"):
    spectrum = spectrum_of(case.W, solver, converge)
    return (spectrum.top if side == "top" else spectrum.bottom)(r), spectrum.solved[side]


def exact_energy(case, side, r=RANK):
    values = case.S[:r] if side == "top" else case.S[case.k - r : case.k]
    return float(np.sum(values**2))


def require_good(case, triplets, side):
    for rows in (triplets.Vh, triplets.U.T):
        exact = rows.double().numpy()
        assert np.abs(exact @ exact.T - np.eye(RANK)).max() <= 1e-6
    assert (triplets.S.diff() <= 0).all()
    assert all(torch.equal(one, other) for one, other in zip(canonical_signs(triplets), triplets, strict=True))
    found, exact = case.energy(triplets.Vh), exact_energy(case, side)
    if side == "top":
        assert 0.999 * exact <= found <= (1 + 1e-5) * exact
    else:
        # rounding V to float32 lets each row see ε/2 of all of W: √r·ε/2·‖W‖_F at worst, averaged over n directions
        seen = math.sqrt(RANK / min(case.W.shape)) * EPS32 / 2 * np.linalg.norm(case.S)
        assert found <= (math.sqrt(1.01 * exact) + seen) ** 2


@pytest.mark.parametrize("side", SIDES)
def test_auto_is_right(case, side):
    triplets, solved = part(case, side)
    require_good(case, triplets, side)
    assert solved.norm == pytest.approx(np.linalg.norm(case.S), rel=1e-9)
    assert solved.energy == pytest.approx(case.energy(triplets.Vh) / solved.norm**2, rel=2e-3 if side == "top" else 0.1)


@pytest.mark.parametrize("name", SAFE)
@pytest.mark.parametrize("side", SIDES)
def test_a_solution_of_the_solver_itself_is_right(name, side, named_case):
    """Also where `auto` would not have asked it."""
    case = named_case(name)
    found = top_triplets(case.W, RANK) if side == "top" else bottom_triplets(case.W, RANK)
    if found is not None:
        require_good(case, type(found.triplets)(*(tensor.float() for tensor in found.triplets)), side)


@pytest.mark.parametrize(
    "name", ["outlier before a flat tail", "outlier of 1e3", "half strong, half flat", "power law"]
)
def test_a_dominant_direction_does_not_hide_those_behind_it(name, named_case):
    """Every tail Σ_{i≥j}^r σ_i², not just their sum, is nearly all there."""
    case = named_case(name)
    triplets, solved = part(case, "top")
    assert solved.solver == "fast"
    tails = [np.cumsum(values[:RANK][::-1] ** 2) for values in (triplets.S.double().numpy(), case.S)]
    assert (tails[0] >= 0.98 * tails[1]).all()


@pytest.mark.parametrize("name", ["flat, large", "slow power law", "clusters", "near-tie at r, slow decay"])
def test_auto_products(name, named_case):
    case = named_case("ties across the r-th" if name == "clusters" else name)
    triplets, _ = part(case, "top", converge="product")
    U, S, Vh = (tensor.double().numpy() for tensor in triplets)
    left = np.linalg.norm(case.W.double().numpy() - (U * S) @ Vh) ** 2
    assert left <= np.sum(case.S[RANK:] ** 2) + (1e-3 * np.linalg.norm(case.S[:RANK])) ** 2


@pytest.mark.parametrize("side", SIDES)
def test_the_residual_is_the_one_that_it_has(case, side):
    triplets, solved = part(case, side)
    if solved.solver == "exact":
        assert solved.residual == 0
        return
    U, S, Vh = (tensor.double().numpy() for tensor in triplets)
    W = case.W.double().numpy()
    sides = W.T @ U - Vh.T * S, W @ Vh.T - U * S  # one of the two is zero by construction
    worst = max(np.linalg.norm(side, axis=0).max() for side in sides) / case.S[0]
    # σ₁ is estimated from below for the bottom; float32 rounds U and V, √(ε²‖W‖²) seen from either
    rounding = 4 * EPS32 * np.linalg.norm(case.S) / case.S[0]
    assert worst <= 1.5 * solved.residual + rounding
    assert solved.residual <= 1.5 * worst + rounding


@pytest.mark.parametrize("name", ["flat", "power law", "ties across the r-th", "geometric to 1e-6", "rank above r"])
@pytest.mark.parametrize("side", SIDES)
def test_same_bytes_twice(name, side, named_case):
    first, _ = part(named_case(name), side)
    torch.rand(3)  # whatever the global random state is
    again, _ = part(named_case(name), side)
    assert all(torch.equal(one, other) for one, other in zip(first, again, strict=True))


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("shape", [(400, 300), (300, 400)], ids=str)
def test_all_solvers_find_one_subspace_where_there_is_a_gap(side, shape):
    """The gap is a factor of 10, so that an energy off by δ leaves at most δ·r/(1 − 0.01) outside the subspace."""
    weak, strong = np.linspace(0.02, 0.01, RANK), np.linspace(2, 1, RANK)
    W = with_values(shape, np.r_[strong, np.full(300 - 2 * RANK, 0.2), weak])
    U, S, Vh = np.linalg.svd(W.double().numpy(), full_matrices=False)
    case = Case(W, U, S, Vh, 300)
    exact = Vh[:RANK] if side == "top" else Vh[-RANK:]
    for solver in ("auto", "fast", "exact"):
        triplets, solved = part(case, side, solver=solver)
        assert solved.solver.startswith("exact" if solver == "exact" else "fast")
        outside = RANK - np.sum((triplets.Vh.double().numpy() @ exact.T) ** 2)
        # top: each unit of Σ outside loses at least σ_r² − σ_{r+1}² of the energy; bottom: gains the same way
        gap = abs(strong[-1] ** 2 - 0.2**2) if side == "top" else 0.2**2 - weak[0] ** 2
        allowed = (0.001 if side == "top" else 0.01) * exact_energy(case, side) / gap
        assert outside <= (1e-5 if solver == "exact" else allowed)


@pytest.mark.parametrize("name", ["rank n - 20", "a column of zeros", "rank above r", "rank r"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_null_directions_are_never_a_bottom(name, dtype, named_case):
    case = named_case(name)
    assert case.k < min(case.W.shape), "the matrix must be what its name says"
    assert bottom_triplets(case.W, RANK, dtype) is None
    triplets, solved = part(case, "bottom")
    assert solved.solver == "exact"
    values = np.linalg.norm(case.W.double().numpy() @ triplets.Vh.double().numpy().T, axis=0)
    assert values == pytest.approx(case.S[case.k - RANK : case.k], rel=1e-3)


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("solver", ["auto", "exact"])
def test_a_rank_that_the_matrix_does_not_have(side, solver):
    for W, words in (
        (of_rank((300, 200), 8), ["only 8", "at most 8"]),
        (torch.zeros(300, 200), ["all zeros", "leave"]),
    ):
        spectrum = spectrum_of(W, solver)
        with pytest.raises(UserError) as error:
            (spectrum.top if side == "top" else spectrum.bottom)(RANK)
        for word in ("model.layers.3.up_proj", "(300, 200)", *words):
            assert word in str(error.value)


@pytest.mark.parametrize(
    ("side", "name"), [("top", "rank r - 8"), ("bottom", "rank n - 20"), ("bottom", "a column of zeros")]
)
def test_fast_raises_where_it_does_not_know(side, name, named_case):
    W = of_rank((300, 200), 8) if name == "rank r - 8" else named_case(name).W
    spectrum = spectrum_of(W, "fast")
    with pytest.raises(UserError, match=r"model\.layers\.3\.up_proj.*did not converge at rank 16") as error:
        (spectrum.top if side == "top" else spectrum.bottom)(RANK)
    assert "auto" in error.value.instead


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("shape", [(32, 24), (128, 896), (200, 30)], ids=str)
def test_fast_solves_matrices_that_are_small_or_narrow(side, shape):
    """Key and value projections of small models have 128 rows: there LAPACK is the fast one."""
    spectrum = spectrum_of(gaussian(shape), "fast")
    triplets = (spectrum.top if side == "top" else spectrum.bottom)(RANK)
    exact = np.linalg.svd(gaussian(shape).double().numpy(), compute_uv=False)
    assert triplets.S.double().numpy() == pytest.approx(exact[:RANK] if side == "top" else exact[-RANK:], rel=1e-5)
    assert spectrum.solved[side].solver == "exact"


@pytest.mark.parametrize("rank", [1, 199, 200])
@pytest.mark.parametrize("side", SIDES)
def test_extreme_ranks(rank, side):
    W = gaussian((300, 200))
    spectrum = spectrum_of(W)
    triplets = (spectrum.top if side == "top" else spectrum.bottom)(rank)
    exact = np.linalg.svd(W.double().numpy(), compute_uv=False)
    part = exact[:rank] if side == "top" else exact[200 - rank :]
    assert float(triplets.S.double().square().sum()) == pytest.approx(np.sum(part**2), rel=1e-2)


@pytest.mark.parametrize("side", SIDES)
def test_a_rank_of_a_twelfth_of_the_width_is_still_solved_fast(side):
    """Rank 128 of a 1,536-wide model: five blocks of the Krylov space are too few, eight are not."""
    W = gaussian((1700, 1536)) * torch.arange(1, 1537) ** -0.6
    solve = top_triplets if side == "top" else bottom_triplets
    found = solve(W, 128)
    values = np.linalg.eigvalsh(W.double().numpy().T @ W.double().numpy())  # ascending
    exact = values[-128:].sum() if side == "top" else values[:128].sum()
    assert found is not None
    assert float(found.triplets.S.square().sum()) == pytest.approx(exact, rel=1e-3 if side == "top" else 1e-2)
