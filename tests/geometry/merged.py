"""The figures that two models' own weights give, for a change that was computed from an adapter's factors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from stiefel.geometry import LayerGeometry

from . import reference


def close_to(merged: Any, base: Any, layer: LayerGeometry, *, relative: float = 1e-6) -> None:
    """The figures of one layer, from the two models' own weights."""
    before, after = (
        model.get_submodule(layer.name).weight.detach().double().numpy().reshape(layer.shape)
        for model in (base, merged)
    )
    D = after - before
    k = layer.directions
    head, tail = reference.head(before, D, k), reference.head(before, D, k, tail=True)
    expected = {
        "norm": np.linalg.norm(before),
        "delta_norm": np.linalg.norm(D),
        "nss": reference.nss(before, D),
        "s_head": (head["left"] + head["right"]) / 2,
        "s_head_left": head["left"],
        "s_head_right": head["right"],
        "s_head_joint": head["joint"],
        "s_tail_left": tail["left"],
        "s_tail_joint": tail["joint"],
        "stable_rank": reference.stable_rank(D),
        "effective_rank": reference.effective_rank(D),
    }
    assert {name: vars(layer)[name] for name in expected} == pytest.approx(expected, rel=relative, abs=1e-9)
