"""What autograd keeps of a forward pass: an anchored adapter keeps no more than a LoRA of its rank."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

import stiefel
from stiefel.memory import forget_peak, peak_resident_bytes
from stiefel.model.weights import load_model

IDS = torch.arange(4, 24).repeat(4, 2)


def kept_bytes(model: Any, *, autocast: bool = False) -> int:
    """Bytes of the tensors saved for the backward pass, each storage once, beside those that live anyway."""
    living = {tensor.untyped_storage().data_ptr() for tensor in (*model.parameters(), *model.buffers())}
    kept: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in living:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with saved_tensors_hooks(note, lambda tensor: tensor), torch.autocast("cpu", enabled=autocast):
        loss = model(input_ids=IDS, labels=IDS).loss
    total = sum(kept.values())
    loss.backward()
    return total


@pytest.mark.parametrize("method", ["pissa", "milora", "geora"])
def test_an_anchored_adapter_keeps_what_a_lora_keeps_and_the_frozen_factors(method: str) -> None:
    lora, anchored = (stiefel.attach(load_model("nano"), name, r=8, alpha=16) for name in ("lora", method))
    assert kept_bytes(anchored) <= kept_bytes(lora)
    sizes = [sum(t.nbytes for t in (*model.parameters(), *model.buffers())) for model in (anchored, lora)]
    anchors = sum(buffer.nbytes for name, buffer in anchored.named_buffers() if name.endswith("anchor"))
    assert sizes[0] - sizes[1] == anchors


@pytest.mark.parametrize("method", ["pissa", "milora", "geora"])
def test_in_bfloat16_too_an_anchored_adapter_keeps_what_a_lora_of_pefts_keeps(method: str) -> None:
    config = LoraConfig(r=8, lora_alpha=16, target_modules="all-linear")
    theirs = get_peft_model(load_model("nano", "bfloat16"), config)
    ours = stiefel.attach(load_model("nano", "bfloat16"), method, r=8, alpha=16)
    assert kept_bytes(ours, autocast=True) <= kept_bytes(theirs, autocast=True)
    assert kept_bytes(ours, autocast=True) < 0.85 * kept_bytes(ours), "every input is kept twice"


@pytest.mark.parametrize("method", ["lora", "pissa"])
def test_gradients_under_autocast_are_the_exact_ones_up_to_its_rounding(method: str) -> None:
    def gradients(*, autocast: bool) -> Tensor:
        model = stiefel.attach(load_model("nano"), method, r=8, alpha=16)
        with torch.autocast("cpu", enabled=autocast):
            loss = model(input_ids=IDS, labels=IDS).loss
        loss.backward()
        trained = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
        assert all(gradient.dtype == torch.float32 for gradient in trained)
        return torch.cat([gradient.flatten() for gradient in trained])

    exact, rounded = gradients(autocast=False), gradients(autocast=True)
    assert torch.cosine_similarity(exact, rounded, dim=0) > 0.995
    assert 0.97 < float(rounded.norm() / exact.norm()) < 1.03


@pytest.mark.skipif(not Path("/proc/self/clear_refs").is_file(), reason="Linux alone lets a process forget its peak")
def test_a_process_that_does_several_runs_counts_each_ones_peak() -> None:
    """A comparison's worker trains one run after another."""
    large = torch.ones(2**27)
    high = peak_resident_bytes()
    assert high > large.nbytes
    del large
    assert peak_resident_bytes() > high - 2**20, "the peak of all that went before"
    forget_peak()
    assert peak_resident_bytes() < high - 2**28
