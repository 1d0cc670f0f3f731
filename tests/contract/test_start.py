"""The attached start is the base's policy, bit for bit, for every method, shape, type and scaling."""

from __future__ import annotations

import pytest
import torch

from stiefel import attach

SHAPES = {  # target, rank, sizes of the model
    "square": ("q_proj", 4, {}),
    "tall": ("up_proj", 4, {}),
    "wide": ("down_proj", 4, {}),
    "full_rank": ("k_proj", 16, {}),
    "one_row": ("up_proj", 1, {"intermediate_size": 1}),
    "one_column": ("down_proj", 1, {"intermediate_size": 1}),
}


@pytest.mark.parametrize("scaling", [1, 2])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("shape", SHAPES)
def test_start_and_disabled_adapter_are_the_base_bit_for_bit(method, shape, dtype, scaling, make_model, logits):
    target, rank, sizes = SHAPES[shape]
    model = make_model(dtype, **sizes)
    base = logits(model)
    adapted = attach(model, method.name, r=rank, alpha=scaling * rank, target_modules=[target])
    assert torch.equal(logits(adapted), base)
    with adapted.disable_adapter():
        assert torch.equal(logits(adapted), base)


def test_disabled_adapter_stays_the_base_after_training(method, make_model, logits, take_steps):
    model = make_model(torch.bfloat16)
    base = logits(model)
    adapted = attach(model, method.name, r=4, alpha=8)
    take_steps(adapted)
    assert not torch.equal(logits(adapted), base), "the steps must have moved the policy"
    with adapted.disable_adapter():
        assert torch.equal(logits(adapted), base)


def test_start_is_exact_in_training_mode_with_dropout(method, make_model, logits):
    model = make_model()
    base = logits(model)
    adapted = attach(model, method.name, r=4, alpha=8, dropout=0.5)
    adapted.train()
    ids = torch.arange(20).view(2, 10)
    assert torch.equal(adapted(input_ids=ids).logits, base)


def test_attaching_keeps_evaluation_mode(make_model):
    """Otherwise the adapter's dropout would be active in a model that its owner has put in evaluation mode."""
    adapted = attach(make_model(), "rlpo", r=4, dropout=0.5)
    assert not any(module.training for module in adapted.get_base_model().modules())
