"""Checkpoints of several architectures, and what an adapter directory says, but for how long it took."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, PreTrainedModel

from tests.model.checkpoint.conftest import CONFIGS, TARGETS

FAMILIES = ["llama", "gpt2", "phi3", "qwen3-tied", "gemma", "mixtral", "granite-moe", "hrm"]
LAYER = "model.layers.1.mlp.up_proj"


@cache
def built(family: str, dtype: torch.dtype) -> PreTrainedModel:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return AutoModelForCausalLM.from_config(CONFIGS[family], dtype=dtype).eval()


@pytest.fixture
def checkpoint(tmp_path: Path) -> Callable[..., Path]:
    """checkpoint(family, dtype, **settings): a directory; settings are those of save_pretrained."""

    def save(family: str = "llama", dtype: torch.dtype = torch.float32, **settings: Any) -> Path:
        directory = tmp_path / "base"
        built(family, dtype).save_pretrained(directory, **settings)
        return directory

    return save


@pytest.fixture
def changed(checkpoint: Callable[..., Path]) -> Callable[..., Path]:
    """changed(change, **settings): a tiny Llama one of whose matrices, LAYER's, was changed."""

    def make(change: Callable[[torch.Tensor], object], **settings: Any) -> Path:
        directory = checkpoint(**settings)
        path = directory / "model.safetensors"
        tensors = load_file(path)
        change(tensors[f"{LAYER}.weight"])
        save_file(tensors, path, {"format": "pt"})
        return directory

    return make


def targets_of(family: str) -> str | list[str]:
    """What is adapted: all linear layers, where that is not refused."""
    return TARGETS.get(family, "all-linear")


def certificate_of(directory: Path) -> dict[str, Any]:
    """stiefel.json without seconds and memory."""
    said: dict[str, Any] = json.loads((directory / "stiefel.json").read_text())
    for layer in said["layers"]:
        assert layer.pop("seconds") >= 0
        assert layer.pop("peak_memory_bytes") > 0
    return said
