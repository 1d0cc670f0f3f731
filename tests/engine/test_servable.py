"""Which adapters a vLLM is given, and how the others are refused before it starts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file

from stiefel.adapter.attached import attach
from stiefel.adapter.saved import save
from stiefel.engine import RANKS, rank_served, servable, unservable
from stiefel.engine.servable import UNREAD
from stiefel.errors import UserError
from stiefel.model.weights import load_model
from stiefel.nano import NANO_PATH

ROOT = "base_model.model"


def served(adapter: Path, scratch: Path) -> Path:
    return servable(adapter, "nano", "", NANO_PATH, scratch)


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    """What PEFT itself saves."""
    config = LoraConfig(r=4, target_modules=["q_proj", "down_proj"], init_lora_weights=False)
    get_peft_model(load_model("nano"), config).save_pretrained(str(tmp_path / "plain"))
    return tmp_path / "plain"


@pytest.mark.parametrize("method", ["rlpo", "pissa", "rlpo+rslora", "random_orthonormal+lora_fa", "rlpo+lora_plus"])
def test_one_of_ours_is_written_as_the_lora_that_it_is(method: str, tmp_path: Path) -> None:
    save(attach(load_model("nano"), method, r=4, alpha=8), tmp_path / "adapter")
    lora = served(tmp_path / "adapter", tmp_path)
    assert sorted(path.name for path in lora.iterdir()) == ["adapter_config.json", "adapter_model.safetensors"]
    config = json.loads((lora / "adapter_config.json").read_text())
    assert unservable(config) == ""
    assert config["r"] == (8 if method == "pissa" else 4)


@pytest.mark.parametrize("method", ["rlpo+dora", "adalora", "miss", "vera", "ia3", "ln_tuning", "full", "sparse"])
def test_one_without_a_lora_form_is_refused_by_name_and_says_what_to_do(method: str, tmp_path: Path) -> None:
    settings: dict[str, Any] = {} if method in ("ia3", "ln_tuning", "full") else {"r": 4}
    settings |= {"alpha": 8} if method in ("rlpo+dora", "adalora") else {}
    save(attach(load_model("nano"), method, **settings), tmp_path / "adapter")
    with pytest.raises(UserError, match="it is no LoRA but") as refused:
        served(tmp_path / "adapter", tmp_path)
    assert method in refused.value.what
    assert f"stiefel export {tmp_path / 'adapter'} --base nano --as merged" in refused.value.instead


def test_another_base_is_refused(tmp_path: Path) -> None:
    changed = load_model("nano")
    changed.model.layers[0].self_attn.q_proj.weight.data *= 1.5
    save(attach(changed, "rlpo", r=2, alpha=4), tmp_path / "adapter")
    with pytest.raises(UserError, match="does not stand on"):
        served(tmp_path / "adapter", tmp_path)


def test_a_plain_one_is_served_where_it_is(plain: Path, tmp_path: Path) -> None:
    assert served(plain, tmp_path) == plain


@pytest.mark.parametrize("name", [*UNREAD, "bias", "peft_type", "r"])
def test_a_plain_one_with_what_vllm_does_not_read_is_refused_by_name(name: str, plain: Path, tmp_path: Path) -> None:
    config = json.loads((plain / "adapter_config.json").read_text())
    config[name] = {"bias": "all", "peft_type": "IA3", "r": 513}.get(name, True)
    (plain / "adapter_config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match={"peft_type": "IA3", "r": "rank 513"}.get(name, name)):
        served(plain, tmp_path)


def test_an_anchored_rank_whose_double_is_too_high_is_refused(tmp_path: Path, make_model: Any) -> None:
    model = make_model(hidden_size=288, intermediate_size=288, head_dim=144)
    save(attach(model, "pissa", r=257, alpha=8, target_modules=["o_proj"]), tmp_path / "adapter")
    with pytest.raises(UserError, match="rank 514") as refused:
        served(tmp_path / "adapter", tmp_path)
    assert "--as merged" in refused.value.instead


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t.popitem(), "lacks"),
        (lambda t: t.clear(), "lacks its factors"),
        (lambda t: t.update({next(iter(t)): torch.zeros(4, 3)}), "does not fit Qwen3ForCausalLM"),
        (
            lambda t: t.update({"base_model.model.model.layers.9.self_attn.q_proj.lora_A.weight": torch.zeros(4, 128)}),
            "9",
        ),
        (lambda t: t.update({f"{ROOT}.lm_head.lora_A.weight": torch.zeros(4, 128)}), "lm_head"),
        (lambda t: t.update({f"{ROOT}.model.embed_tokens.lora_embedding_A": torch.zeros(4, 29)}), "embed"),
        (lambda t: t.update({f"{ROOT}.model.norm.weight": torch.zeros(128)}), "norm"),
    ],
    ids=["half", "nothing", "a shape", "a layer that is not there", "the head", "the embedding", "a norm"],
)
def test_a_plain_one_whose_tensors_are_not_factors_of_the_model_is_refused(
    change: Any, said: str, plain: Path, tmp_path: Path
) -> None:
    tensors = load_file(plain / "adapter_model.safetensors")
    change(tensors)
    save_file(tensors, plain / "adapter_model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError, match=said):
        served(plain, tmp_path)


def test_a_broken_file_is_refused(plain: Path, tmp_path: Path) -> None:
    (plain / "adapter_model.safetensors").write_bytes(b"\xff" * 20)
    with pytest.raises(UserError, match="broken safetensors"):
        served(plain, tmp_path)


def test_the_rank_asked_for_is_the_smallest_that_suffices() -> None:
    assert [rank_served(rank) for rank in (1, 8, 9, 257, 512)] == [8, 8, 16, 320, 512]
    assert list(RANKS) == sorted(RANKS)
