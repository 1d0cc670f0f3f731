"""Tiny models built in memory, and the few things that tests do to every one of them."""

from __future__ import annotations

import os

os.environ["HF_HUB_OFFLINE"] = "1"  # read when the hub's client is first imported
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # NumPy's own, read likewise: two oracles at once would fight

import copy
import gc
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import Qwen3Config, Qwen3ForCausalLM

from stiefel.adapter.attached import lora_layers
from stiefel.methods import STARTS, Layer, Method

VOCABULARY = 29  # nano's tokenizer fits, so that the same model can be trained by TRL


@cache
def built(dtype: torch.dtype, sizes: tuple[tuple[str, Any], ...]) -> Qwen3ForCausalLM:
    """Two Qwen3 layers: q_proj (32, 32), k_proj (16, 32), up_proj (48, 32), down_proj (32, 48)."""
    config = {
        "vocab_size": VOCABULARY,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": 16,
        "max_position_embeddings": 64,
        "tie_word_embeddings": False,
        "initializer_range": 0.2,  # logits of order 1, so that a wrong adapter shows
        **dict(sizes),
    }
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Qwen3ForCausalLM(Qwen3Config(**config, pad_token_id=0, bos_token_id=1, eos_token_id=2))
    return model.to(dtype).eval()


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(autouse=True, scope="module")
def _frozen() -> None:
    """No garbage is sought any more among what is there by now, modules above all: every `Trainer.train` seeks some."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test reads or fills the user's spectra."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STIEFEL_CACHE", str(tmp_path_factory.mktemp("spectra")))
        yield


@pytest.fixture(autouse=True)
def _same_global_seed() -> Iterator[None]:
    with torch.random.fork_rng():
        torch.manual_seed(1234)
        yield


@pytest.fixture(params=STARTS, ids=lambda method: method.name)
def method(request: pytest.FixtureRequest) -> Method:
    """Every start of the tuple: a new one is covered by being there."""
    return request.param


@pytest.fixture(scope="session")
def make_model() -> Callable[..., Qwen3ForCausalLM]:
    """make_model(dtype, **sizes): a fresh copy of the same tiny model; keywords are Qwen3Config's."""

    def make(dtype: torch.dtype = torch.float32, **sizes: Any) -> Qwen3ForCausalLM:
        return copy.deepcopy(built(dtype, tuple(sorted(sizes.items()))))

    return make


@pytest.fixture(scope="session")
def logits() -> Callable[[Any], Tensor]:
    """The logits of a model on two fixed sequences."""
    ids = torch.arange(20).view(2, 10) % VOCABULARY

    def compute(model: Any) -> Tensor:
        model.eval()
        with torch.no_grad():
            return model(input_ids=ids).logits

    return compute


@pytest.fixture(scope="session")
def take_steps() -> Callable[..., Any]:
    """take_steps(model, steps): AdamW on next-token loss; returns the optimizer, to go on with."""
    ids = torch.arange(24).view(2, 12) % VOCABULARY

    def run(model: Any, steps: int = 3, optimizer: Any = None) -> Any:
        optimizer = optimizer or torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=0.01)
        model.eval()  # no dropout
        for _ in range(steps):
            optimizer.zero_grad()
            model(input_ids=ids, labels=ids).loss.backward()
            optimizer.step()
        return optimizer

    return run


@pytest.fixture(scope="session")
def factors_of() -> Callable[[Any], dict[str, tuple[Tensor, Tensor]]]:
    """What PEFT and serving engines see of each target: {name: (A, B)}."""

    def read(model: Any) -> dict[str, tuple[Tensor, Tensor]]:
        return {
            name: (layer.lora_A["default"].weight.detach().clone(), layer.lora_B["default"].weight.detach().clone())
            for name, layer in lora_layers(model)
        }

    return read


@pytest.fixture(scope="session")
def frozen_of() -> Callable[[Any], dict[str, Tensor]]:
    """Copies of the base's weights, under the names they have without an adapter."""

    def read(model: Any) -> dict[str, Tensor]:
        return {
            name.replace(".base_layer", "").removeprefix("base_model.model."): parameter.detach().clone()
            for name, parameter in model.named_parameters()
            if "lora_" not in name
        }

    return read


@pytest.fixture(scope="session")
def make_layer() -> Callable[..., Layer]:
    """make_layer(method, W, rank, scaling, seed, name, **options): a layer as `attach` would show it to the method."""

    def make(
        method: Method, W: Tensor, rank: int, scaling: float = 1.0, seed: int = 0, name: str = "layer", **options: str
    ) -> Layer:
        return Layer(name, W, rank, scaling, seed, method.resolve_options(options))

    return make


@pytest.fixture(scope="session")
def same_state() -> Callable[[dict[str, Any], dict[str, Any]], bool]:
    """True where two dictionaries of tensors hold the same keys and the same bits."""

    def compare(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
        return first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)

    return compare
