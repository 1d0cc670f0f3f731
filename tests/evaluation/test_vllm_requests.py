"""What vLLM is asked for; vLLM itself runs on no CPU, so the requests are looked at, and its absence."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from stiefel.adapter.attached import attach
from stiefel.adapter.saved import save
from stiefel.errors import UserError
from stiefel.evaluation.subject import Subject
from stiefel.evaluation.vllm import VLLMEngine, engine_settings, model_ends, request, require_vllm, servable
from stiefel.model.weights import load_model, load_tokenizer
from stiefel.nano import NANO_PATH
from stiefel.tasks import Sampling
from tests.chats import chat_model, chat_tokenizer

SAMPLING = Sampling(samples=4, temperature=0.6, top_p=0.95, top_k=20, max_tokens=100, seed=3)


def adapter(directory: Path, method: str, rank: int = 4) -> Path:
    settings = {} if method == "ia3" else {"r": rank, "alpha": 8}
    save(attach(load_model("nano"), method, **settings), directory)
    return directory


def test_a_request_says_everything_that_sampling_does() -> None:
    found = request(SAMPLING, ["\n\n"], {2, 7}, seed=11)
    wanted = {"temperature": 0.6, "top_p": 0.95, "top_k": 20, "max_tokens": 100, "seed": 11, "n": 1}
    assert found.items() >= wanted.items()
    assert (found["stop"], found["stop_token_ids"]) == (["\n\n"], [2, 7])
    assert found["include_stop_str_in_output"] is False
    greedy = request(Sampling(temperature=0.0, top_p=0.5, top_k=3), [], {2}, seed=0)
    assert (greedy["temperature"], greedy["top_p"], greedy["top_k"]) == (0.0, 1.0, 0)


def test_the_models_advice_is_left_aside_and_its_end_tokens_are_kept(tmp_path: Path) -> None:
    settings = engine_settings(Subject("nano", dtype="bfloat16"), NANO_PATH, None, SAMPLING, 140)
    assert settings["generation_config"] == "vllm"
    assert (settings["max_model_len"], settings["dtype"], settings["model"]) == (140, "bfloat16", str(NANO_PATH))
    assert "enable_lora" not in settings
    (tmp_path / "generation_config.json").write_text(json.dumps({"eos_token_id": [5, 6], "top_k": 20}))
    assert model_ends(tmp_path) == [5, 6]
    (tmp_path / "generation_config.json").unlink()
    (tmp_path / "config.json").write_text(json.dumps({"eos_token_id": 9}))
    assert model_ends(tmp_path) == 9


@pytest.mark.parametrize(("method", "rank"), [("rlpo", 4), ("pissa", 8)])
def test_a_lora_is_served_beside_the_model(method: str, rank: int, tmp_path: Path) -> None:
    """An anchored one as the LoRA of rank 2r that it is."""
    subject = Subject("nano", adapter=adapter(tmp_path / "adapter", method))
    model, lora = servable(subject, tmp_path)
    assert (model, lora) == (NANO_PATH, tmp_path / "lora")
    assert json.loads((lora / "adapter_config.json").read_text())["r"] == rank
    settings = engine_settings(subject, model, lora, SAMPLING, 140)
    assert (settings["enable_lora"], settings["max_lora_rank"]) == (True, 8)


@pytest.mark.parametrize("method", ["rlpo+dora", "ia3"])
def test_another_kind_is_merged(method: str, tmp_path: Path) -> None:
    directory = adapter(tmp_path / "adapter", method)
    model, lora = servable(Subject("nano", adapter=directory), tmp_path)
    assert lora is None
    assert model == tmp_path / "merged"
    ids = torch.arange(1, 9)[None]
    base = load_model("nano")
    with torch.no_grad():
        # the adapter is at its start, and the merge rounds once to float32
        assert torch.allclose(load_model(str(model))(ids).logits, base(ids).logits, atol=1e-4)
    load_tokenizer(str(model))


def test_it_is_refused_where_it_is_missing() -> None:
    with pytest.raises(UserError, match="vLLM is not installed"):
        require_vllm()
    with pytest.raises(UserError, match="vLLM is not installed"):
        VLLMEngine(Subject("nano"), load_tokenizer("nano"), SAMPLING, [], 100)


def test_a_plain_adapter_that_vllm_cannot_serve_is_refused(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text(json.dumps({"peft_type": "IA3"}))
    with pytest.raises(UserError, match="not a plain LoRA"):
        servable(Subject("nano", adapter=tmp_path), tmp_path)
    (tmp_path / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "r": 600}))
    with pytest.raises(UserError, match="rank 600"):
        engine_settings(Subject("nano", adapter=tmp_path), NANO_PATH, tmp_path, SAMPLING, 100)


def test_a_chat_is_asked_to_end_where_its_turns_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """vLLM itself knows the tokenizer's end and those of generation_config.json."""
    tokenizer = chat_tokenizer()
    user = tokenizer.convert_tokens_to_ids("<|user|>")
    path = chat_model(tmp_path / "model", tokenizer, ends=[user])
    asked: list[dict[str, Any]] = []

    class Engine:
        def __init__(self, **settings: Any) -> None:
            assert settings["generation_config"] == "vllm"

        def generate(self, prompts: Any, parameters: Any, **others: Any) -> list[Any]:
            asked.extend(parameters)
            return []

    vllm, lora = ModuleType("vllm"), ModuleType("vllm.lora.request")
    vars(vllm).update(LLM=Engine, SamplingParams=dict)
    vars(lora).update(LoRARequest=dict)
    for name, module in (("vllm", vllm), ("vllm.lora", ModuleType("vllm.lora")), ("vllm.lora.request", lora)):
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr("stiefel.evaluation.vllm.require_vllm", lambda: None)
    subject = Subject(path, turn_ends=("<|eot|>",))
    engine = VLLMEngine(subject, subject.tokenizer(), SAMPLING, [], 100)
    engine([[1]], [0])
    engine.scratch.cleanup()
    named = ["<|im_end|>", "<|endoftext|>", "<|user|>", "<|eot|>"]
    assert asked[0]["stop_token_ids"] == sorted(tokenizer.convert_tokens_to_ids(named))
