"""The trap in TRL's way to send weights to vLLM: shown on TRL's own sync first, then shown not to be ours."""

from __future__ import annotations

import pytest
import torch

from stiefel import attach
from stiefel.engine.weights import policy_weights

from ..engine.bridge import Bridge, Engine, bits, moved


@pytest.mark.parametrize("start", ["lora", "pissa"])
def test_t5_merging_in_place_drifts_and_ours_does_not(start, make_model):
    """TRL's own sync, cycle after cycle with an unchanged adapter, against the weights after none."""
    small = {"num_hidden_layers": 1}
    model = moved(attach(make_model(torch.bfloat16, **small), start, r=4, alpha=8, target_modules=["q_proj"]))
    before = bits(model)
    ours = Engine(make_model(torch.bfloat16, **small))
    for _ in range(1000):
        ours.load_weights(policy_weights(model))
    after = bits(model)
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())

    theirs = Bridge(model, Engine(make_model(torch.bfloat16, **small)))
    drift = []
    for cycles in (1, 50):
        for _ in range(cycles):
            theirs.sync_weights()
        weights = {name: tensor for name, tensor in bits(model).items() if "base_layer" in name}
        distance = sum((tensor.double() - before[name].double()).norm() ** 2 for name, tensor in weights.items())
        drift.append(float(distance / sum(before[name].double().norm() ** 2 for name in weights)) ** 0.5)
    assert 0 < drift[0] < drift[1], "upstream mended it"
