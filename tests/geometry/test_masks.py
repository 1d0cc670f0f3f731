"""GeoRA's premise: the energy inside the masks, beside that of random masks, which are drawn here."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from stiefel.geometry import DenseChange, geora_masks, geora_premise
from stiefel.methods import find_method
from tests.oracles.geora import reference_masks

from .conftest import RANK


def test_masks_and_energies_are_the_dense_ones(case, make_layer) -> None:
    masks = geora_masks(make_layer(find_method("geora"), case.W, RANK))
    expected = reference_masks(case.W, RANK)
    assert np.array_equal(masks.spectral.numpy(), expected["spectral"])
    assert np.array_equal(masks.euclidean.numpy(), expected["euclidean"])
    found = geora_premise(case.change, masks)
    total, union = np.sum(case.D**2), expected["spectral"] | expected["euclidean"]
    assert found._asdict() == pytest.approx(
        {
            "intersection": (expected["spectral"] & expected["euclidean"]).mean(),
            "union": union.mean(),
            "jaccard": (expected["spectral"] & expected["euclidean"]).sum() / union.sum(),
            "energy_spectral": np.sum(case.D[expected["spectral"]] ** 2) / total,
            "energy_euclidean": np.sum(case.D[expected["euclidean"]] ** 2) / total,
            "energy_union": np.sum(case.D[union] ** 2) / total,
            "random_mean": union.mean(),
            "random_deviation": found.random_deviation,  # below
        },
        rel=1e-6,
    )


def test_random_masks_hold_what_is_said(case, make_layer) -> None:
    """2,000 masks of the union's size: five standard errors of the mean, and of the standard deviation."""
    masks = geora_masks(make_layer(find_method("geora"), case.W, RANK))
    found = geora_premise(case.change, masks)
    kept = int((masks.spectral | masks.euclidean).sum())
    energies, draws = np.square(case.D).ravel(), 2000
    random = np.random.default_rng(0)
    shares = [energies[random.permutation(energies.size)[:kept]].sum() / energies.sum() for _ in range(draws)]
    assert np.mean(shares) == pytest.approx(found.random_mean, abs=5 * found.random_deviation / draws**0.5)
    assert np.std(shares) == pytest.approx(found.random_deviation, rel=5 / (2 * draws) ** 0.5)


def test_a_change_inside_the_masks_and_none(make_layer) -> None:
    W = torch.randn(24, 16)
    masks = geora_masks(make_layer(find_method("geora"), W, RANK))
    inside = geora_premise(DenseChange(torch.where(masks.spectral | masks.euclidean, 1.0, 0.0)), masks)
    assert inside.energy_union == 1.0
    none = geora_premise(DenseChange(torch.zeros(24, 16)), masks)
    assert (none.energy_union, none.random_deviation) == (0.0, 0.0)
