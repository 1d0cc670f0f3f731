"""All figures of a matrix at once, each against a dense float64 computation: none is left without one."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pytest
import torch

from stiefel.geometry import LowRankChange, chance
from stiefel.geometry.layer import ALSO, measure
from stiefel.geometry.subject import Trained
from stiefel.methods import find_method
from tests.oracles.geora import reference_masks

from . import reference
from .conftest import RANK, SCALING

START = torch.randn(48, RANK, generator=torch.Generator().manual_seed(7))


def expected(W: np.ndarray, D: np.ndarray, A: np.ndarray, P: np.ndarray) -> dict[str, object]:
    """Every figure, from W, ΔW, the factor A and the product sBA."""
    k, S = RANK, np.linalg.svd(W, compute_uv=False)
    head, tail = reference.head(W, D, k), reference.head(W, D, k, tail=True)
    masks = reference_masks(torch.from_numpy(W).float(), k)
    union = masks["spectral"] | masks["euclidean"]
    total = np.sum(D**2)

    def curve(X: np.ndarray) -> dict[str, list[float]]:
        c = reference.coefficients(W, X)
        return {
            "distribution": list(np.abs(c) / np.abs(c).sum()),
            "energy": list(np.cumsum(c**2) / np.sum(c**2)),
            "head": np.sum(c[:k] ** 2) / np.sum(c**2),
            "tail": np.sum(c[-k:] ** 2) / np.sum(c**2),
        }

    return {
        "name": "layer",
        "kind": "layer",
        "depth": None,
        "shape": W.shape,
        "directions": k,
        "norm": np.linalg.norm(W),
        "singular_values": list(S[:k]),
        "singular_values_bottom": list(S[-k:]),
        "spectra": spectra(W, D),
        "delta_norm": np.linalg.norm(D),
        "relative": np.linalg.norm(D) / np.linalg.norm(W),
        "nss": reference.nss(W, D),
        "s_head": (head["left"] + head["right"]) / 2,
        **{f"s_head_{side}": value for side, value in head.items()},
        "s_head_product": sum(reference.head(W, P, k)[side] for side in ("left", "right")) / 2,
        "s_tail": (tail["left"] + tail["right"]) / 2,
        **{f"s_tail_{side}": value for side, value in tail.items()},
        "s_head_chance": chance(W.shape, k),
        "stable_rank": reference.stable_rank(D),
        "effective_rank": reference.effective_rank(D),
        "similarity_top": reference.similarity(A, W, k),
        "similarity_bottom": reference.similarity(A, W, k, tail=True),
        "angles": {
            f"{side}_{part}": list(reference.angles(D, W, k, side, tail=part == "bottom"))
            for side in ("left", "right")
            for part in ("top", "bottom")
        },
        "orthonormality_error": np.abs(A @ A.T - np.eye(k)).max(),
        "orthonormality_error_at_start": 0.25,
        "start_norm": 0.5,
        "bf16_rounding": reference.rounding(W, D),
        "bf16_nss": reference.rounding(W, D) * np.linalg.norm(D) / np.linalg.norm(W) / np.sqrt(max(W.shape)),
        "bf16_stored": False,
        "update": curve(D),
        "product": curve(P),
        "spectrum": reference.spectrum(W, k),
        "masks": {
            "intersection": (masks["spectral"] & masks["euclidean"]).mean(),
            "union": union.mean(),
            "jaccard": (masks["spectral"] & masks["euclidean"]).sum() / union.sum(),
            "energy_spectral": np.sum(D[masks["spectral"]] ** 2) / total,
            "energy_euclidean": np.sum(D[masks["euclidean"]] ** 2) / total,
            "energy_union": np.sum(D[union] ** 2) / total,
            "random_mean": union.mean(),
        },
    }


def spectra(W: np.ndarray, D: np.ndarray) -> dict[str, list[float]]:
    """These matrices have fewer than 100 singular values: each is given."""
    before, after = (np.linalg.svd(X, compute_uv=False) for X in (W, W + D))
    assert len(before) <= 100
    return {"places": list(range(1, len(before) + 1)), "before": list(before), "after": list(after)}


def test_every_figure_of_a_layer_is_the_dense_one(case, make_layer) -> None:
    B = START[: case.W.shape[0]]
    product = LowRankChange(SCALING * B.double(), case.A)
    layer = make_layer(find_method("geora"), case.W, RANK)
    found = asdict(measure(layer, Trained(case.change, case.A, product, 0.5, 0.25), ALSO))
    A = case.A.double().numpy()
    wanted = expected(case.dense_W, case.D, A, SCALING * B.double().numpy() @ A)
    changed = (reference.to_bfloat16(case.dense_W + case.D) != reference.to_bfloat16(case.dense_W)).mean()
    # torch rounds float64 by way of float32: an entry within a float32 unit of a tie may fall to the other side
    assert found.pop("bf16_changed") == pytest.approx(changed, abs=1.5 / case.W.numel())
    assert found["masks"].pop("random_deviation") > 0  # test_masks draws them
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        if isinstance(value, dict):
            assert found[name].keys() == value.keys()
            for key, one in value.items():
                assert found[name][key] == pytest.approx(one, rel=1e-6, abs=1e-12), (name, key)
        elif isinstance(value, float | list):
            assert found[name] == pytest.approx(value, rel=1e-6), name
        else:
            assert found[name] == value, name


def test_a_base_with_fewer_directions_than_the_rank_is_measured_by_those(make_layer) -> None:
    """Beyond LAPACK's share, where `init` would refuse it: a matrix of zeros, and one of rank 2."""
    generator = torch.Generator().manual_seed(0)
    B, A = torch.randn(600, RANK, generator=generator), torch.randn(RANK, 560, generator=generator)
    low = torch.zeros(600, 560)
    low[3, 5], low[7, 1] = 2.0, 3.0
    for W, directions in ((torch.zeros(600, 560), 0), (low, 2)):
        layer = make_layer(find_method("geora"), W, RANK)
        found = measure(layer, Trained(LowRankChange(B, A), A), ("tail",))
        assert len(found.singular_values) == directions
        assert found.delta_norm == pytest.approx(float(torch.linalg.matrix_norm(B.double() @ A.double())))
        assert (found.s_head > 0) == (directions > 0)
        assert found.s_tail == pytest.approx(found.s_head)
