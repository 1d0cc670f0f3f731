"""A mask of a product's smallest entries is the one that a sort of all entries in float64 gives."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch

from stiefel.methods import Layer, find_method
from stiefel.methods.geora import decided_spectral_mask
from stiefel.methods.thresholds import smallest_of_product
from stiefel.spectrum import Triplets
from stiefel.spectrum.linalg import exact_svd

from .geora import reference_mask

EPS = np.finfo(np.float64).eps


def triplets_of(shape, rank, seed=0) -> Triplets:
    generator = torch.Generator().manual_seed(seed)
    W = torch.randn(shape, generator=generator, dtype=torch.float64)
    return Triplets(
        torch.linalg.qr(W[:, :rank])[0],
        torch.linspace(3, 1, rank, dtype=torch.float64),
        torch.linalg.qr(torch.randn(shape[1], rank, generator=generator, dtype=torch.float64))[0].T,
    )


def product_of(found: Triplets) -> np.ndarray:
    """As the module sums it, so that equal entries are equal in both: r products, and their sum."""
    return ((found.U * found.S)[:, None, :] * found.Vh.T).sum(2).numpy()


@pytest.mark.parametrize("rho", ["0.001", "0.2", "0.5", "0.999"])
@pytest.mark.parametrize("shape", [(7, 5), (200, 300), (600, 700), (1100, 1000), (3, 50_000)], ids=str)
def test_the_mask_is_that_of_a_sort_in_float64(shape, rho):
    """Of the largest, about 10⁻⁶·10⁶ entries are as near to the threshold as float32 rounds."""
    for seed in range(3):
        found = triplets_of(shape, min(3, *shape), seed)
        decided = smallest_of_product(found, 0.0, float(rho))
        assert np.array_equal(decided.mask.numpy(), reference_mask(product_of(found), Fraction(rho)))
        assert decided.undecided == 0


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_the_size_of_the_entries_does_not_matter(scale):
    found = triplets_of((300, 400), 3)
    scaled = found._replace(S=found.S * scale)
    assert torch.equal(smallest_of_product(scaled, 0.0, 0.2).mask, smallest_of_product(found, 0.0, 0.2).mask)


def test_a_sample_that_misleads_is_not_believed():
    """All small entries lie in the columns that the sample of every 17th entry meets first."""
    left, right = torch.ones(17, 1, dtype=torch.float64), torch.ones(1, 17 * 400, dtype=torch.float64)
    right[0, ::17] = torch.linspace(0.001, 0.5, 400, dtype=torch.float64)
    right[0, 1::17] = torch.linspace(0.6, 0.9, 400, dtype=torch.float64)
    found = Triplets(left, torch.ones(1, dtype=torch.float64), right)
    for rho in ("0.01", "0.05", "0.1"):
        expected = reference_mask(product_of(found), Fraction(rho))
        assert np.array_equal(smallest_of_product(found, 0.0, float(rho)).mask.numpy(), expected)


def test_what_is_nearer_than_it_is_known_is_counted():
    """Between the k-th and the next lies 1e-9 of the size: decided at an angle of 1e-12, not at one of 1e-6."""
    sizes = torch.linspace(0.1, 1, 1000, dtype=torch.float64)
    sizes[200] = sizes[199] + 1e-9
    found = Triplets(torch.ones(1, 1, dtype=torch.float64), torch.ones(1, dtype=torch.float64), sizes[None])
    assert smallest_of_product(found, 1e-12, 0.2).undecided == 0
    assert smallest_of_product(found, 1e-6, 0.2).undecided == 2
    assert int(smallest_of_product(found, 1e-6, 0.2).mask.count_nonzero()) == 200


def quantised(shape, seed=0):
    """Four-bit values with a step a block of rows, as a small model's weights are stored; a heavy-tailed spectrum."""
    generator = torch.Generator().manual_seed(seed)
    decay = torch.arange(1, shape[1] + 1) ** -0.4
    W = (
        torch.randn(shape, generator=generator)
        * decay
        @ torch.linalg.qr(torch.randn(shape[1], shape[1], generator=generator))[0]
    )
    step = W.abs().amax(1, keepdim=True) / 7
    return (W / step).round() * step


@pytest.mark.parametrize("shape", [(192, 576), (576, 576), (1536, 576), (576, 1536)], ids=str)
def test_the_fast_solver_s_mask_is_the_exact_one_to_the_last_entry(shape):
    """At a small model's shapes, where float32 flipped entries and one flipped entry is one of W in W_Geo."""
    method = find_method("geora")
    W = quantised(shape)
    exact = exact_svd(W).slice(0, 16)
    product = (exact.U * exact.S @ exact.Vh).numpy()
    expected = reference_mask(product, Fraction(1, 5))
    for solver in ("auto", "fast", "exact"):
        decided = decided_spectral_mask(Layer("layer", W, 16, 2.0, 0, method.resolve_options({}), solver=solver))
        assert np.array_equal(decided.mask.numpy(), expected)
        assert decided.undecided == 0


def test_entries_that_are_equal_are_left_to_lapack_and_said(monkeypatch):
    """Every column twice: so is every entry of the product, and rounding decides which is the smaller one."""
    half = quantised((500, 200))
    W = torch.cat([half, half], dim=1)
    method = find_method("geora")
    asked = []
    monkeypatch.setattr("stiefel.spectrum.triplets.exact_svd", lambda W: asked.append(W.shape) or exact_svd(W))
    layer = Layer("layer", W, 16, 2.0, 0, method.resolve_options({"rho": 0.200005}))  # an odd number of entries
    assert method.factors(layer).statistics["mask_undecided"] >= 2
    assert asked[0] == W.shape
