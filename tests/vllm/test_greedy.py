"""Greedy completions by vLLM are those of transformers, whatever the policy is made of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model

from stiefel.adapter import export
from stiefel.adapter.attached import attach
from stiefel.adapter.saved import save
from stiefel.evaluation.subject import Subject
from stiefel.model.weights import load_model
from tests.vllm.subjects import KINDS, by_transformers, by_vllm, shaken


@pytest.fixture(scope="module")
def base() -> Any:
    return by_transformers(Subject("nano"))


def test_the_base(base: Any) -> None:
    assert by_vllm(Subject("nano")) == base
    assert any(not each.truncated for each in base)


@pytest.mark.parametrize("method", KINDS)
def test_an_adapter_of_ours_beside_the_base(method: str, adapters: dict[str, Path], base: Any) -> None:
    """Anchored ones as LoRA of rank 2r."""
    subject = Subject("nano", adapter=adapters[method])
    wanted = by_transformers(subject)
    assert sum(mine.text != other.text for mine, other in zip(wanted, base, strict=True)) > 10
    assert by_vllm(subject) == wanted


def test_a_plain_adapter_of_pefts(tmp_path: Path, base: Any) -> None:
    config = LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", init_lora_weights=False)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        get_peft_model(load_model("nano"), config).save_pretrained(str(tmp_path))
    subject = Subject("nano", adapter=tmp_path)
    wanted = by_transformers(subject)
    assert wanted != base
    assert by_vllm(subject) == wanted


@pytest.mark.parametrize("method", ["pissa", "rlpo+dora", "ia3", "full"])
def test_a_merged_model(method: str, tmp_path: Path, base: Any) -> None:
    """What cannot be served beside its base is exported, and served as a model."""
    settings = {} if method in ("ia3", "full") else {"r": 4, "alpha": 8}
    scale = {"ia3": 0.3, "full": 0.01}.get(method, 0.05)
    save(shaken(attach(load_model("nano"), method, **settings), scale), tmp_path / "adapter")
    export(tmp_path / "adapter", "nano", "merged", tmp_path / "merged")
    subject = Subject(str(tmp_path / "merged"))
    wanted = by_transformers(subject)
    assert wanted != base
    assert by_vllm(subject) == wanted


def test_in_bfloat16_an_anchored_start_is_the_base(tmp_path: Path) -> None:
    """The engine rounds factors to bfloat16, and ΔB = 0 and ΔA = 0 are exact in it."""
    save(attach(load_model("nano"), "pissa", r=4, alpha=8), tmp_path / "adapter")
    plain = by_vllm(Subject("nano", dtype="bfloat16"))
    assert by_vllm(Subject("nano", dtype="bfloat16", adapter=tmp_path / "adapter")) == plain
