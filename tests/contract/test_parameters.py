"""What trains is what a method declares, and nothing else moves by a bit."""

from __future__ import annotations

import re

import pytest
import torch

from stiefel import attach, save
from stiefel.adapter.attached import lora_layers

TARGETS = {"all-linear": 14, "q_proj": 2}  # linear layers of the tiny model under each
NAME = {False: r"lora_[AB]\.default\.weight", True: r"lora_[AB]\.default\.delta"}


@pytest.mark.parametrize("targets", TARGETS)
def test_trainable_parameters_are_r_times_in_plus_out(method, targets, make_model):
    rank = 3
    adapted = attach(
        make_model(), method.name, r=rank, alpha=6, target_modules=targets if targets == "all-linear" else [targets]
    )
    shapes = [layer.get_base_layer().weight.shape for _, layer in lora_layers(adapted)]
    trainable = {name: p for name, p in adapted.named_parameters() if p.requires_grad}
    assert len(shapes) == TARGETS[targets]
    assert sum(p.numel() for p in trainable.values()) == sum(rank * (m + n) for m, n in shapes)
    assert len(trainable) == 2 * len(shapes)
    assert all(re.search(NAME[method.anchored] + "$", name) for name in trainable)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
def test_trainable_parameters_and_anchors_are_float32(method, dtype, make_model):
    adapted = attach(make_model(dtype), method.name, r=4)
    assert {p.dtype for p in adapted.parameters() if p.requires_grad} == {torch.float32}
    assert {b.dtype for name, b in adapted.named_buffers() if "anchor" in name} <= {torch.float32}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_frozen_weights_never_change(method, dtype, make_model, take_steps, frozen_of, same_state, tmp_path):
    model = make_model(dtype)
    before = frozen_of(model)
    adapted = attach(model, method.name, r=4)
    assert same_state(frozen_of(adapted), before), "attach"
    take_steps(adapted, 4)
    assert same_state(frozen_of(adapted), before), "training"
    save(adapted, tmp_path / "adapter")
    assert same_state(frozen_of(adapted), before), "saving"
    assert same_state(frozen_of(adapted.unload()), before), "unloading"


def test_training_moves_every_trainable_parameter(method, make_model, take_steps):
    adapted = attach(make_model(), method.name, r=4)
    before = {name: p.detach().clone() for name, p in adapted.named_parameters() if p.requires_grad}
    take_steps(adapted, 3)
    after = dict(adapted.named_parameters())
    assert [name for name, p in before.items() if torch.equal(p, after[name])] == []
