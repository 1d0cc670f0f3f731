"""GeoRA's masks, W_Geo and overlap against NumPy; its thresholds against a sort."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch

from stiefel import UserError
from stiefel.methods import STARTS, Layer, find_method
from stiefel.methods.geora import euclidean_mask, overlap, smallest, spectral_mask
from stiefel.methods.thresholds import kth_smallest_magnitude

from .geora import reference_mask, reference_masks

FAMILY = [method.name for method in STARTS if method.claims.matrix == "W_Geo"]
SHAPES = [(24, 24), (40, 16), (16, 40), (1, 32), (32, 1), (4, 24)]


def random_matrix(shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


TIED = {
    "small integers": torch.randint(-3, 4, (20, 30), generator=torch.Generator().manual_seed(0)).float(),
    "all equal": torch.full((7, 9), -2.0),
    "zero": torch.zeros(5, 5),
    "bfloat16": random_matrix((64, 64)).bfloat16().float(),
    "no ties": random_matrix((33, 17)),
    "one entry": torch.tensor([[3.0]]),
    "transposed": random_matrix((12, 31)).T,
    "denormals": random_matrix((8, 8)) * 1e-41,
}


@pytest.mark.parametrize("case", TIED)
def test_every_kth_value_is_that_of_a_sort(case):
    values = TIED[case]
    before = values.clone()
    ordered = np.sort(values.abs().numpy(), axis=None)
    assert [kth_smallest_magnitude(values, k) for k in range(1, values.numel() + 1)] == ordered.tolist()
    assert torch.equal(values, before), "the matrix itself is not reordered"


@pytest.mark.parametrize("rho", ["0.001", "0.1", "0.2", "0.29", "0.5", "0.57", "0.999"])
@pytest.mark.parametrize("case", TIED)
def test_masks_are_those_of_a_sort_and_keep_ties(case, rho):
    """0.29·100 and 0.57·100 are below 29 and 57 in floats: the share is the decimal that was written."""
    values = TIED[case]
    assert np.array_equal(smallest(values, float(rho)).numpy(), reference_mask(values.numpy(), Fraction(rho)))


def test_the_share_is_exact_where_floats_would_round_down():
    values = random_matrix((10, 10))
    assert int(0.29 * 100) == 28
    assert int(smallest(values, 0.29).count_nonzero()) == 29


@pytest.mark.parametrize("rho", ["0.05", "0.2", "0.5"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_both_masks_on_every_shape(shape, rho, make_layer):
    W = random_matrix(shape)
    rank = min(4, *shape)
    layer = make_layer(find_method("geora"), W, rank, rho=rho)
    expected = reference_masks(W, rank, Fraction(rho))
    assert np.array_equal(spectral_mask(layer).numpy(), expected["spectral"])
    assert np.array_equal(euclidean_mask(layer).numpy(), expected["euclidean"])


@pytest.mark.parametrize("shape", SHAPES[:3], ids=str)
@pytest.mark.parametrize("name", FAMILY)
def test_statistics_are_the_masks_own(name, shape, make_layer):
    W = random_matrix(shape, seed=1)
    masks = reference_masks(W, 4)
    statistics = dict(find_method(name).factors(make_layer(find_method(name), W, 4)).statistics)
    if name in ("geora_spectral", "geora_euclidean"):
        assert statistics == {"mask_share": masks[name.removeprefix("geora_")].mean()}
        return
    both, either = (masks["spectral"] & masks["euclidean"]).sum(), (masks["spectral"] | masks["euclidean"]).sum()
    assert statistics == {
        "mask_intersection": both / W.numel(),
        "mask_union": either / W.numel(),
        "mask_jaccard": pytest.approx(both / either),
    }


def test_the_source_s_overlap_has_the_source_s_jaccard_index():
    """At ρ = 0.2 an intersection of 4.55% of all entries means 0.0455/(0.4 − 0.0455) = 0.128."""
    first, second = torch.zeros(100, 100, dtype=torch.bool), torch.zeros(100, 100, dtype=torch.bool)
    first.view(-1)[:2000] = True
    second.view(-1)[2000 - 455 : 4000 - 455] = True
    found = overlap(first, second)
    assert (found["mask_intersection"], found["mask_union"]) == (0.0455, 0.3545)
    assert round(found["mask_jaccard"], 3) == 0.128


def test_the_overlap_of_empty_masks_is_zero():
    none = torch.zeros(2, 2, dtype=torch.bool)
    assert set(overlap(none, none).values()) == {0.0}


@pytest.mark.parametrize("scaling", [1.0, 2.0])
@pytest.mark.parametrize("name", FAMILY)
def test_factors_are_undivided_unless_asked(name, scaling, make_layer):
    method, W = find_method(name), random_matrix((24, 24), seed=2)
    default, undivided, divided = (
        method.factors(make_layer(method, W, 4, scaling, **options))
        for options in ({}, {"sigma": "undivided"}, {"sigma": "divided"})
    )
    assert torch.equal(default.A, undivided.A)
    assert torch.equal(default.B, undivided.B)
    torch.testing.assert_close(default.B @ default.A, scaling * divided.B @ divided.A)


@pytest.mark.parametrize("name", FAMILY)
def test_the_layout_of_w_does_not_matter(name, make_layer):
    """GPT-2 keeps its matrices transposed."""
    method, W = find_method(name), random_matrix((24, 16))
    here = method.factors(make_layer(method, W, 4))
    there = method.factors(make_layer(method, W.T.contiguous().T, 4))
    assert torch.equal(here.A, there.A)
    assert torch.equal(here.B, there.B)


def truncated(W: np.ndarray, rank: int) -> np.ndarray:
    """The best approximation of that rank."""
    U, S, Vh = np.linalg.svd(W, full_matrices=False)
    return (U[:, :rank] * S[:rank]) @ Vh[:rank]


def test_large_matrices_get_the_exact_mask_and_product():
    """Where LAPACK is not used: an error of 1e-3 in Ŵ_r alone would leave the product wrong by more than 1e-2."""
    rank = 8
    decay = torch.arange(1, 561, dtype=torch.float32) ** -0.6  # a heavy tail, as trained matrices have
    W = (random_matrix((640, 560), seed=4) * decay) @ torch.linalg.qr(random_matrix((560, 560), seed=5)).Q
    expected_mask = reference_mask(truncated(W.double().numpy(), rank), Fraction(1, 5))
    kept = expected_mask | reference_mask(W.numpy(), Fraction(1, 5))
    expected = truncated(np.where(kept, W.double().numpy(), 0.0), rank)
    method = find_method("geora")
    layer = Layer("layer", W, rank, 1.0, 0, method.resolve_options({}), solver="fast")
    factors = method.factors(layer)
    assert np.array_equal(spectral_mask(layer).numpy(), expected_mask), "every entry is decided in float64"
    product = factors.B.double().numpy() @ factors.A.double().numpy()
    assert np.linalg.norm(product - expected) <= 1e-3 * np.linalg.norm(expected)


def test_random_triplets_are_chosen_uniformly(make_layer):
    """Each of k triplets with probability r/k: 5σ of the binomial, and two layers' choices are independent."""
    method, W, rank, draws = find_method("geora_random"), random_matrix((12, 10)), 3, 400
    right = np.linalg.svd(np.where(_union(W, rank), W.double().numpy(), 0.0), full_matrices=False)[2]
    counts = np.zeros(len(right))
    for seed in range(draws):
        A = method.factors(make_layer(method, W, rank, seed=seed)).A.double().numpy()
        along = np.abs(right @ A.T) / np.linalg.norm(A, axis=1)
        chosen = along.argmax(axis=0)
        assert along.max(axis=0).min() > 0.9999
        assert sorted(set(chosen)) == chosen.tolist(), "no repetition, in descending order"
        counts[chosen] += 1
    p = rank / len(right)
    assert np.abs(counts - draws * p).max() <= 5 * np.sqrt(draws * p * (1 - p))


def _union(W, rank):
    masks = reference_masks(W, rank)
    return masks["spectral"] | masks["euclidean"]


def few_rows(rows: int) -> torch.Tensor:
    """Full rank in its first rows, zero below: most entries that a mask keeps are zeros."""
    return torch.cat([random_matrix((rows, 24), seed=3), torch.zeros(24 - rows, 24)])


def test_the_tail_takes_no_null_directions(make_layer):
    """W_Geo of rank 8 of 24: the last positive triplets are the 5th to 8th."""
    method, W = find_method("geora_tail"), few_rows(8)
    layer = make_layer(method, W, 4, rho=0.9)
    W_geo = torch.where(smallest(W, 0.9) | spectral_mask(layer), W, 0.0).double().numpy()
    S, Vh = np.linalg.svd(W_geo)[1:]
    assert np.linalg.matrix_rank(W_geo) == 8
    A = method.factors(layer).A.double().numpy()
    rows = A / np.linalg.norm(A, axis=1, keepdims=True)
    assert np.linalg.norm(rows.T @ rows - Vh[4:8].T @ Vh[4:8]) <= 1e-5
    assert (S[4:8] > 1e-3).all()


@pytest.mark.parametrize("name", FAMILY)
@pytest.mark.parametrize("rows", [0, 2, 5], ids=["zero", "rank below r", "every kept entry is zero"])
def test_a_w_geo_without_r_directions_is_refused_by_name(name, rows, make_layer):
    method = find_method(name)
    with pytest.raises(UserError, match=r"model\.layers\.7.*(positive singular values|all zeros|none but zeros)"):
        method.factors(make_layer(method, few_rows(rows), 4, name="model.layers.7", rho=0.2))


@pytest.mark.parametrize("name", FAMILY)
def test_a_share_of_less_than_one_entry_is_refused_by_name(name, make_layer):
    method = find_method(name)
    with pytest.raises(UserError, match=r"model\.layers\.7: none but zeros .* are left in W_Geo"):
        method.factors(make_layer(method, random_matrix((3, 3)), 1, name="model.layers.7", rho=0.1))
