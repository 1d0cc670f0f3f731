"""What is known of a matrix that is made from a layer's is read without making it again."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

import stiefel.methods.geora
from stiefel.methods import Layer, find_method

KINDS = ["geora", "geora_tail", "geora_spectral", "geora_euclidean"]


def layer_of(W, cache, method, rank=6, **options):
    return Layer("layer", W, rank, 2.0, 0, find_method(method).resolve_options(options), "auto", cache)


@pytest.fixture
def masks(monkeypatch):
    """The layers whose masks are made from now on."""
    made = []

    def counted(name):
        original = vars(stiefel.methods.geora)[name]
        monkeypatch.setattr(stiefel.methods.geora, name, lambda layer: made.append(name) or original(layer))

    counted("decided_spectral_mask")
    counted("euclidean_mask")
    return made


@pytest.mark.parametrize("method", KINDS)
def test_a_known_start_makes_no_mask_and_is_the_same_to_the_bit(method, W, cache, masks):
    factors = find_method(method).factors
    cold = factors(layer_of(W, cache, method))
    assert masks
    masks.clear()
    layer = layer_of(W, cache, method)
    layer.matrix.release()
    warm = factors(layer)
    assert masks == []
    assert torch.equal(cold.A, warm.A)
    assert torch.equal(cold.B, warm.B)
    assert cold.statistics == warm.statistics
    assert cold.statistics


def test_what_a_masked_matrix_depends_on_tells_it_apart(W, cache, masks):
    asked = [
        ("geora", 6, {}),
        ("geora", 5, {}),
        ("geora", 6, {"rho": 0.3}),
        ("geora_spectral", 6, {}),
        ("geora_euclidean", 6, {}),
    ]
    found = {}
    for method, rank, options in asked:
        masks.clear()
        found[method, rank, str(options)] = find_method(method).factors(layer_of(W, cache, method, rank, **options))
        assert masks, "nothing that was kept answers this"
    fresh = {
        (method, rank, str(options)): find_method(method).factors(layer_of(W, None, method, rank, **options))
        for method, rank, options in asked
    }
    for key, factors in found.items():
        assert torch.equal(factors.A, fresh[key].A)
        assert torch.equal(factors.B, fresh[key].B)


def test_another_matrix_has_masks_of_its_own(W, cache, masks):
    factors = find_method("geora").factors
    factors(layer_of(W, cache, "geora"))
    masks.clear()
    other = W.clone()
    other[0, 0] += 1.0
    factors(replace(layer_of(W, cache, "geora"), base=other))
    assert masks
