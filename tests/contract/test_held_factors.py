"""While it samples, an anchored adapter is a LoRA of twice the rank: nothing is concatenated for each token."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import stiefel
from stiefel.adapter.anchored import anchored_factors, held_factors
from stiefel.model.weights import load_model

IDS = torch.arange(4, 24).repeat(2, 1)


class Operations(TorchDispatchMode):
    """How often each operation ran."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Count and go on."""
        self.counts[str(func.overloadpacket)] += 1
        return func(*args, **(kwargs or {}))


@pytest.fixture
def model() -> Any:
    model = stiefel.attach(load_model("nano"), "pissa", r=4, alpha=8)
    move(model, 1)
    return model


def move(model: Any, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=1e-2)


def written(model: Any) -> Any:
    return model.generate(input_ids=IDS, do_sample=False, max_new_tokens=12, min_new_tokens=12, pad_token_id=0)


def test_tokens_and_logits_keep_their_bits(model: Any) -> None:
    with torch.no_grad():
        plain, logits = written(model), model(IDS).logits
        with held_factors(anchored_factors(model)):
            assert torch.equal(written(model), plain)
            assert torch.equal(model(IDS).logits, logits)


def test_no_token_costs_more_operations_than_a_loras(model: Any) -> None:
    counts = []
    for each in (model, stiefel.attach(load_model("nano"), "lora", r=4, alpha=8)):
        with torch.no_grad(), held_factors(anchored_factors(each)), Operations() as operations:
            written(each)
        counts.append(operations.counts)
    assert counts[0] == counts[1]


def test_nothing_is_held_after_the_block_nor_after_an_error(model: Any) -> None:
    with torch.no_grad(), held_factors(anchored_factors(model)):
        with held_factors(anchored_factors(model)):
            pass
        assert all(factor.held is not None for factor in anchored_factors(model))  # the outer one holds
    with pytest.raises(ZeroDivisionError), held_factors(anchored_factors(model)):
        1 / 0  # noqa: B018
    assert all(factor.held is None for factor in anchored_factors(model))
    with torch.no_grad():
        before = model(IDS).logits
        move(model, 2)
        assert not torch.equal(model(IDS).logits, before)


def test_gradients_do_not_know_of_it(model: Any) -> None:
    gradients = []
    for held in (False, True):
        model.zero_grad()
        if held:
            with held_factors(anchored_factors(model)):
                model(input_ids=IDS, labels=IDS).loss.backward()
        else:
            model(input_ids=IDS, labels=IDS).loss.backward()
        gradients.append([p.grad.clone() for p in model.parameters() if p.requires_grad])
    assert all(torch.equal(*pair) for pair in zip(*gradients, strict=True))
