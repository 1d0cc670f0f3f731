"""`adapter.dropout_on`: anchored training as it was published, against PEFT's own layers on the residual base."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel

import stiefel
from stiefel.adapter import drop_factors, export, lora_layers
from stiefel.errors import UserError
from stiefel.methods import METHODS
from stiefel.model.weights import load_model
from stiefel.recipe.recipe import make_recipe
from stiefel.run.loading import adapted
from stiefel.run.run import train

ANCHORED = [method.name for method in METHODS if method.anchored]
IDS = torch.tensor([[1, 5, 9, 7, 3, 8, 2, 6], [1, 4, 4, 10, 12, 3, 9, 9]])
P = 0.05


def ours(method: str, where: str, dropout: float = P) -> Any:
    torch.manual_seed(0)
    model = stiefel.attach(load_model("nano"), method, r=4, alpha=8, dropout=dropout)
    if where == "factors":
        drop_factors(model)
    return model.train()


def published(method: str, place: Path) -> Any:
    """The modified base with a plain LoRA of rank r beside it, as the methods' own code trains it."""
    stiefel.prepare("nano", method, place / "start", r=4, alpha=8)
    export(place / "start", "nano", "residual", place / "residual")
    base = load_model(str(place / "residual" / "base"))
    model = PeftModel.from_pretrained(base, str(place / "residual"), is_trainable=True)
    for _, layer in lora_layers(model):
        layer.lora_dropout["default"] = torch.nn.Dropout(P)
    return model.train()


def logits(model: Any) -> torch.Tensor:
    """With the masks that this seed draws."""
    torch.manual_seed(3)
    found: torch.Tensor = model(input_ids=IDS).logits
    return found


@pytest.mark.parametrize("method", ANCHORED)
def test_factors_is_the_published_function_and_has_its_gradients(method: str, tmp_path: Path) -> None:
    """Of the same masks; the residual base is rounded to float32 once, which bounds how near the two can be."""
    theirs, mine = published(method, tmp_path), ours(method, "factors")
    weights = torch.randn(logits(mine).shape, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        base = load_model("nano")(input_ids=IDS).logits
    noise = (logits(theirs) - base).abs().max().item()
    found, expected = logits(mine), logits(theirs)
    assert (found - expected).abs().max() < 1e-3 * noise
    (found * weights).sum().backward()
    (expected * weights).sum().backward()
    for (name, one), (_, other) in zip(lora_layers(mine), lora_layers(theirs), strict=True):
        for factor, weight in ((one.lora_A, other.lora_A), (one.lora_B, other.lora_B)):
            gradient = weight["default"].weight.grad
            assert (factor["default"].delta.grad - gradient).norm() < 1e-3 * gradient.norm(), name


@pytest.mark.parametrize("method", ["pissa", "milora", "geora"])
def test_delta_starts_at_the_base_in_training_and_factors_do_not(method: str) -> None:
    """E5: with dropout the two forms are two functions."""
    with torch.no_grad():
        base = load_model("nano")(input_ids=IDS).logits
        assert torch.equal(logits(ours(method, "delta")), base)
        assert not torch.allclose(logits(ours(method, "factors")), base, atol=1e-3)


@pytest.mark.parametrize("method", ["pissa", "rlpo"])
def test_out_of_training_and_without_dropout_they_are_one(method: str) -> None:
    with torch.no_grad():
        assert torch.equal(logits(ours(method, "factors").eval()), logits(ours(method, "delta").eval()))
        assert torch.equal(logits(ours(method, "factors", 0.0)), logits(ours(method, "delta", 0.0)))
    if method == "rlpo":  # B₀ = 0: it is published as it is
        assert torch.equal(logits(ours(method, "factors")), logits(ours(method, "delta")))


def test_recomputed_activations_see_the_same_masks() -> None:
    """Of activation checkpointing."""
    gradients = []
    for checkpointed in (False, True):
        model = ours("pissa", "factors")
        if checkpointed:
            model.enable_input_require_grads()
            model.gradient_checkpointing_enable({"use_reentrant": False})
        logits(model).square().sum().backward()
        gradients.append([factor.lora_A["default"].delta.grad for _, factor in lora_layers(model)])
    for one, other in zip(*gradients, strict=True):
        assert torch.allclose(one, other, rtol=1e-4, atol=1e-6)


def test_a_recipe_trains_either_also_from_a_directory(tmp_path: Path) -> None:
    settings: dict[str, Any] = {
        "optim": {"rollouts": 1, "lr": 1e-3},
        "rollout": {"prompts": 2, "completions": 4, "max_completion_tokens": 8},
        "run": {"threads": 1},
    }
    adapter = {"method": "pissa", "dropout": P, "dropout_on": "factors"}
    recipe = make_recipe({**settings, "adapter": adapter})
    remembering = [layer.lora_A["default"].lost_of for _, layer in lora_layers(adapted(recipe, load_model("nano")))]
    assert all(remembering)
    train(recipe, tmp_path / "run")
    again = {"path": str(tmp_path / "run" / "adapter"), "dropout_on": "factors"}
    model = adapted(make_recipe({**settings, "adapter": again}), load_model("nano"))
    assert all(layer.lora_A["default"].lost_of for _, layer in lora_layers(model))


def test_around_an_anchor_dora_is_refused() -> None:
    with pytest.raises(UserError, match=r"dropout on the factors of pissa\+dora"):
        drop_factors(stiefel.attach(load_model("nano"), "pissa+dora", r=4, alpha=8, dropout=P))
