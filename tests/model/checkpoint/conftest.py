"""A tiny random model of every kind of layer naming, and the directory that save_pretrained writes of it."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    GemmaConfig,
    GPT2Config,
    GraniteMoeConfig,
    HrmTextConfig,
    LlamaConfig,
    MistralConfig,
    MixtralConfig,
    Phi3Config,
    PhimoeConfig,
    PreTrainedModel,
    Qwen2Config,
    Qwen3Config,
    Qwen3MoeConfig,
)

TOKENS = {"vocab_size": 29, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
SIZES = {
    **TOKENS,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "max_position_embeddings": 64,
    "initializer_range": 0.2,
    "tie_word_embeddings": False,
}
DENSE = {
    "llama": LlamaConfig(**SIZES),
    "qwen2": Qwen2Config(**SIZES),  # biases
    "qwen3-tied": Qwen3Config(**{**SIZES, "tie_word_embeddings": True}, head_dim=16),
    "mistral": MistralConfig(**SIZES),
    "gemma": GemmaConfig(**SIZES, head_dim=16),
    "phi3": Phi3Config(**SIZES),  # q, k, v in one matrix
    "gpt2": GPT2Config(**TOKENS, n_embd=32, n_layer=2, n_head=2, n_positions=64),  # Conv1D, tied
}
# Of the causal language models of transformers 5.23 none keeps its experts as linear layers one by one.
EXPERTS = {
    "qwen3-moe": Qwen3MoeConfig(**SIZES, head_dim=16, num_experts=4, moe_intermediate_size=24),  # PEFT adds the experts
    "mixtral": MixtralConfig(**SIZES, num_local_experts=4),  # the same; and its blocks have other names in the files
    "granite-moe": GraniteMoeConfig(**SIZES, num_local_experts=4, num_experts_per_tok=2),  # PEFT leaves them out
    "phimoe": PhimoeConfig(**SIZES, num_local_experts=4),  # the router is a subclass of Linear that gives a tuple
}
CUT = {"hrm": HrmTextConfig(**SIZES, H_cycles=1, L_cycles=1, L_bp_cycles=[1])}  # q, k, v are cut out of one tensor
CONFIGS = {**DENSE, **EXPERTS, **CUT}
ATTENTION = ["q_proj", "k_proj", "v_proj", "o_proj"]
TARGETS = {"qwen3-moe": ATTENTION, "mixtral": ATTENTION, "phimoe": ATTENTION}  # where "all-linear" is refused


@cache
def built(family: str, dtype: torch.dtype) -> PreTrainedModel:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return AutoModelForCausalLM.from_config(CONFIGS[family], dtype=dtype).eval()


@pytest.fixture(scope="session")
def tiny() -> Callable[..., PreTrainedModel]:
    """tiny(family, dtype): the one model of a family; tests that change it copy it first."""
    return lambda family, dtype=torch.float32: built(family, dtype)


@pytest.fixture
def saved(tmp_path: Path) -> Callable[..., Path]:
    """saved(family, dtype, **settings): its directory; settings are those of save_pretrained."""

    def save(family: str = "llama", dtype: torch.dtype = torch.float32, **settings: object) -> Path:
        directory = tmp_path / family
        built(family, dtype).save_pretrained(directory, **settings)
        return directory

    return save
