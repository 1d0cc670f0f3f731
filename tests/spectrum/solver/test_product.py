"""A product is right to what is promised of it, or its energy is; and what it costs is known beforehand."""

from __future__ import annotations

import math
import time
from statistics import median

import numpy as np
import pytest
import torch

import stiefel.spectrum.lanczos
import stiefel.spectrum.triplets
from stiefel.spectrum.gram import gram, images
from stiefel.spectrum.lanczos import leading_eigenvectors
from stiefel.spectrum.product import PROMISED, product_triplets
from stiefel.spectrum.triplets import Spectrum

from .conftest import CASES, RANK, gaussian, of_rank, power, with_values

SAFE = sorted(set(CASES) - {"huge", "large", "small", "tiny", "forty huge rows", "all but forty rows tiny"})


def spectrum_of(W, solver="auto", converge="product"):
    return Spectrum("model.layers.3.up_proj", tuple(W.shape), lambda: W, lambda: "none", solver, converge)


def missed(triplets, case):
    """‖UΣVᵀ − [W]_r‖_F/‖[W]_r‖_F."""
    U, S, Vh = (tensor.double().numpy() for tensor in triplets)
    best = (case.U[:, :RANK] * case.S[:RANK]) @ case.Vh[:RANK]
    return np.linalg.norm((U * S) @ Vh - best) / np.linalg.norm(best)


@pytest.mark.parametrize("precise", [False, True])
@pytest.mark.parametrize("name", SAFE)
def test_a_product_is_as_near_as_its_angle_says(name, precise, named_case):
    """√2·sin, of which both factors turn; and the oracle's own rounding, over the same gap."""
    case = named_case(name)
    found = product_triplets(case.W, RANK, precise=precise)
    gap = case.S[RANK - 1] - case.S[RANK]
    oracle = math.sqrt(max(case.W.shape)) * np.finfo(np.float64).eps * case.S[0] / gap if gap > 0 else 1.0
    assert missed(found.triplets, case) <= math.sqrt(2) * (found.angle + oracle)
    assert case.energy(found.triplets.Vh) >= 0.999 * np.sum(case.S[:RANK] ** 2), "whatever becomes of the product"


@pytest.mark.parametrize("solver", ["auto", "fast", "exact"])
@pytest.mark.parametrize("name", ["flat, large", "slow power law", "near-tie at r, slow decay"])
def test_a_product_that_is_promised_is_right_to_a_thousandth(name, solver, named_case):
    case = named_case(name)
    spectrum = spectrum_of(case.W, solver)
    triplets = spectrum.top(RANK)
    assert spectrum.solved["top"].promise == "product"
    assert missed(triplets, case) <= 1e-3


@pytest.mark.parametrize("solver", ["auto", "fast", "exact"])
@pytest.mark.parametrize("n", [400, 800])
def test_where_values_tie_the_energy_is_what_is_promised(n, solver):
    """Ten equal blocks: every value is there ten times, and which six of the second ten are kept is arbitrary."""
    W = torch.block_diag(*[gaussian((n // 8, n // 10))] * 10)
    spectrum = spectrum_of(W, solver)
    V = spectrum.top(RANK).Vh.double().numpy()
    assert spectrum.solved["top"].promise == "energy"
    best = np.linalg.svd(W.double().numpy(), compute_uv=False)[:RANK]
    assert np.linalg.norm(W.double().numpy() @ V.T) ** 2 >= 0.999 * np.sum(best**2)


@pytest.mark.parametrize("gap", [1e-1, 1e-3, 1e-6, 1e-9, 1e-12, 0.0])
def test_a_gap_that_closes_takes_the_promise_of_a_product_with_it(gap):
    """σ_16/σ_17 = 1 + gap: the bound grows as the gap falls, and stays above eps over it."""
    rng = np.random.default_rng(0)
    U, V = (np.linalg.qr(rng.standard_normal((side, 500)))[0] for side in (900, 500))
    W = torch.from_numpy((U * np.r_[np.linspace(2, 1 + gap, RANK), np.ones(484)]) @ V.T)
    found = product_triplets(W, RANK, precise=True)
    assert (found.angle <= PROMISED) == (gap >= 1e-9)
    assert found.angle >= min(1.0, np.finfo(np.float64).eps / max(gap, 1e-16))


@pytest.mark.parametrize("shape", [(900, 700), (700, 900), (1600, 800)], ids=str)
def test_float32_is_enough_where_the_gap_is_wide_and_left_where_it_is_not(shape, monkeypatch):
    made = []

    def noted(A, dtype):
        made.append(dtype)
        return gram(A, dtype)

    monkeypatch.setattr("stiefel.spectrum.product.gram", noted)
    n = min(shape)
    for gap, expected in ((0.05, [torch.float32]), (1e-7, [torch.float32, torch.float64])):
        made.clear()
        W = with_values(shape, np.r_[np.linspace(2, 1 + gap, RANK), np.linspace(1, 0.5, n - RANK)])
        product_triplets(W, RANK)
        assert made == expected


@pytest.mark.parametrize("case", ["flat", "tied", "low rank", "one direction", "power law"])
@pytest.mark.parametrize("n", [700, 1100])
def test_the_cost_is_foreseen(case, n, monkeypatch):
    """A space that would take in half of all directions is not built further: LAPACK has them all at once."""
    values = {
        "flat": np.linspace(1, 0.999, n),
        "tied": np.ones(n),
        "low rank": np.r_[np.linspace(2, 1, 24), np.zeros(n - 24)],
        "one direction": np.r_[1.0, np.zeros(n - 1)],
        "power law": power(n, 0.7),
    }[case]
    Q = np.linalg.qr(np.random.default_rng(0).standard_normal((n, n)))[0]
    G = torch.from_numpy((Q * values) @ Q.T)
    products = []
    times = stiefel.spectrum.lanczos.times

    def counted(rows, G):
        products.append(len(rows))
        return times(rows, G)

    monkeypatch.setattr("stiefel.spectrum.lanczos.times", counted)
    found = leading_eigenvectors((G + G.T) / 2, RANK, 1e-4, np.finfo(np.float64).eps)
    assert 0 < sum(products) <= n // 2
    V = found.vectors.numpy()
    assert np.abs(V.T @ V - np.eye(RANK)).max() <= 1e-12
    assert np.sum((Q * np.sqrt(values)).T @ V * ((Q * np.sqrt(values)).T @ V)) >= (1 - 1e-6) * values[:RANK].sum()
    assert found.following >= values[RANK] - 1e-12


def test_a_higher_rank_than_pays_is_left_to_lapack(monkeypatch):
    monkeypatch.setattr("stiefel.spectrum.lanczos.times", lambda rows, G: pytest.fail("a space was built"))
    W = gaussian((900, 700))
    assert product_triplets(W, 128).triplets.S.numpy() == pytest.approx(
        np.linalg.svd(W.double().numpy(), compute_uv=False)[:128], rel=1e-6
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("shape", [(3, 2), (300, 130), (2100, 517), (1024, 128)], ids=str)
def test_pieces_make_up_the_whole(shape, dtype):
    A = gaussian(shape).to(dtype)
    X = gaussian((shape[1], 3)).to(dtype)
    G = gram(A, dtype)
    exact, eps = A.double().numpy(), torch.finfo(dtype).eps
    assert torch.equal(G, G.T)
    size = np.linalg.norm(exact) ** 2
    assert np.abs(G.numpy() - exact.T @ exact).max() <= 4 * eps * size
    image, back = images(A, X)
    assert np.abs(image.double().numpy() - exact @ X.double().numpy()).max() <= 4 * eps * size
    assert np.abs(back.double().numpy() - exact.T @ exact @ X.double().numpy()).max() <= 4 * eps * size**1.5


@pytest.mark.parametrize("solver", ["auto", "fast"])
@pytest.mark.parametrize("shape", [(192, 576), (576, 576), (1536, 576), (576, 1536)], ids=str)
def test_shapes_of_a_small_model_never_need_all_triplets(shape, solver, monkeypatch):
    """A flat spectrum, as a masked matrix has it: no space of every column that is thrown away."""
    monkeypatch.setattr(stiefel.spectrum.triplets, "exact_svd", lambda W: pytest.fail("solved again"))
    for converge in ("product", "mask"):
        spectrum = spectrum_of(gaussian(shape), solver, converge)
        spectrum.top(RANK)
        assert spectrum.solved["top"].solver == "fast"
        assert spectrum.solved["top"].promise == "product"


def test_it_is_no_slower_than_lapack_at_a_small_model_s_width():
    """In processor time, taken in turns: half of LAPACK's, and 1.05 is the bound."""
    W, ratios = gaussian((576, 576)), []
    for _ in range(7):
        spent = []
        for solver in ("auto", "exact"):
            began = time.process_time()
            spectrum_of(W, solver, "mask").top(RANK)
            spent.append(time.process_time() - began)
        ratios.append(spent[0] / spent[1])
    assert median(ratios) <= 1.05


def test_a_rank_that_the_matrix_does_not_have_is_left_to_lapack():
    spectrum = spectrum_of(of_rank((300, 200), RANK))
    assert spectrum.top(RANK).S[-1] > 0
    spectrum = spectrum_of(of_rank((300, 200), RANK - 1))
    with pytest.raises(stiefel.spectrum.triplets.TooFewDirections):
        spectrum.top(RANK)
