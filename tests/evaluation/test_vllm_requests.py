"""What vLLM is asked for, and its absence; tests/vllm asks the real one."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from stiefel.adapter.attached import attach
from stiefel.adapter.saved import save
from stiefel.errors import UserError
from stiefel.evaluation.subject import Subject
from stiefel.evaluation.vllm import VLLMEngine, engine_settings, lora_of, model_ends, request
from stiefel.model.weights import load_model, load_tokenizer
from stiefel.nano import NANO_PATH
from stiefel.tasks import Sampling
from tests.chats import chat_model, chat_tokenizer

SAMPLING = Sampling(samples=4, temperature=0.6, top_p=0.95, top_k=20, max_tokens=100, seed=3)


def adapter(directory: Path, method: str) -> Path:
    save(attach(load_model("nano"), method, r=4, alpha=8), directory)
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
    lora = lora_of(subject, NANO_PATH, tmp_path)
    assert lora == tmp_path / "lora"
    assert json.loads((lora / "adapter_config.json").read_text())["r"] == rank
    settings = engine_settings(subject, NANO_PATH, lora, SAMPLING, 140)
    assert (settings["enable_lora"], settings["max_lora_rank"]) == (True, 8)
    assert lora_of(Subject("nano"), NANO_PATH, tmp_path) is None


def test_the_type_is_the_checkpoints_own(tmp_path: Path) -> None:
    """vLLM's own "auto" would round float32."""
    assert engine_settings(Subject("nano"), NANO_PATH, None, SAMPLING, 140)["dtype"] == "float32"


def test_it_is_refused_where_it_is_missing() -> None:
    with pytest.raises(UserError, match="vLLM is not installed"):
        VLLMEngine(Subject("nano"), load_tokenizer("nano"), SAMPLING, [], 100)


def test_a_chat_is_asked_to_end_where_its_turns_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """vLLM itself knows the tokenizer's end and those of generation_config.json."""
    tokenizer = chat_tokenizer()
    user = tokenizer.convert_tokens_to_ids("<|user|>")
    path = chat_model(tmp_path / "model", tokenizer, ends=[user])
    asked: list[dict[str, Any]] = []

    class Engine:
        def __init__(self, **settings: Any) -> None:
            assert settings["generation_config"] == "vllm"
            self.llm_engine = SimpleNamespace(engine_core=SimpleNamespace(shutdown=lambda: None))

        def reset_prefix_cache(self) -> None:
            pass

        def generate(self, prompts: Any, parameters: Any, **others: Any) -> list[Any]:
            asked.extend(parameters)
            return []

    vllm, platforms = ModuleType("vllm"), ModuleType("vllm.platforms")
    vars(vllm).update(LLM=Engine, SamplingParams=dict)
    vars(platforms).update(current_platform=SimpleNamespace(is_cpu=lambda: False))
    for name, module in (("vllm", vllm), ("vllm.platforms", platforms)):
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr("stiefel.evaluation.vllm.require_vllm", lambda *asked: None)
    subject = Subject(path, turn_ends=("<|eot|>",))
    engine = VLLMEngine(subject, subject.tokenizer(), SAMPLING, [], 100)
    engine([[1]], [0])
    named = ["<|im_end|>", "<|endoftext|>", "<|user|>", "<|eot|>"]
    assert asked[0]["stop_token_ids"] == sorted(tokenizer.convert_tokens_to_ids(named))
