"""What autograd keeps of a forward pass: an anchored adapter keeps no more than a LoRA of its rank."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

import stiefel
from stiefel.memory import forget_peak, peak_resident_bytes
from stiefel.model.weights import load_model

IDS = torch.arange(4, 24).repeat(4, 2)


def kept_bytes(model: Any) -> int:
    """Bytes of the tensors saved for the backward pass, each storage once, beside those that live anyway."""
    living = {tensor.untyped_storage().data_ptr() for tensor in (*model.parameters(), *model.buffers())}
    kept: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in living:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with saved_tensors_hooks(note, lambda tensor: tensor):
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
