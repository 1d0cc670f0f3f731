"""nano, and a tiny model whose positions are absolute, so that a shifted one shows."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from stiefel.model.weights import load_model, load_tokenizer


@pytest.fixture(scope="session")
def tokenizer() -> Any:
    return load_tokenizer("nano")


@pytest.fixture(scope="session")
def nano() -> Any:
    return load_model("nano")


@pytest.fixture(scope="session")
def absolute() -> Any:
    """A random GPT-2 with nano's vocabulary and logits of order 1."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        config = GPT2Config(
            vocab_size=29,
            n_positions=96,
            n_embd=32,
            n_layer=2,
            n_head=2,
            initializer_range=0.3,
            bos_token_id=1,
            eos_token_id=2,
        )
        return GPT2LMHeadModel(config).eval()
