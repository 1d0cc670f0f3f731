"""verl's generation by our loop: the prompt's own tokens, and an end wherever a turn ends."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import hydra
import pytest
from hydra.errors import InstantiationException
from verl.experimental.agent_loop.agent_loop import DictConfigWrap, _agent_loop_registry
from verl.experimental.agent_loop.single_turn_agent_loop import SingleTurnAgentLoop
from verl.workers.rollout.replica import TokenOutput

from stiefel.model import load_tokenizer
from stiefel.verl.dataset import Rows
from tests.verl.launches import hand_over, written
from tests.verl.recipes import composed, overrides


class Server:
    """An engine that writes three tokens, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []

    async def generate(self, **asked: Any) -> TokenOutput:
        self.asked.append(asked)
        return TokenOutput(token_ids=[5, 6, 2], log_probs=[-0.1, -0.2, -0.3], stop_reason="completed")


def played(name: str, row: dict[str, Any], recipe: Any, tokenizer: Any) -> tuple[Any, dict[str, Any]]:
    """What a loop of verl's makes of a row, built as its worker builds it."""
    config, server = composed(overrides(recipe)), Server()

    async def run() -> Any:
        loop = hydra.utils.instantiate(
            config=_agent_loop_registry[name],
            trainer_config=DictConfigWrap(config=config),
            server_manager=server,
            tokenizer=tokenizer,
            processor=None,
            hf_model_type="qwen3",
            dataset_cls=Rows,
            data_config=DictConfigWrap(config.data),
        )
        fields = {key: value for key, value in row.items() if key != "dummy_tensor"}
        return await loop.run({"temperature": 1.0, "logprobs": True}, **fields)

    return asyncio.run(run()), server.asked[0]


def test_a_text_prompt_needs_no_chat_template(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """verl's own loop renders a chat, and raises for a tokenizer such as nano's."""
    recipe = written(tmp_path)
    hand_over(recipe, tmp_path, monkeypatch)
    rows, tokenizer = Rows("train", None, None), load_tokenizer("nano")
    with pytest.raises(InstantiationException, match=r"<\|im_end\|>"):
        played("single_turn_agent", rows[0], recipe, tokenizer)
    output, asked = played("stiefel", rows[0], recipe, tokenizer)
    assert output.prompt_ids == asked["prompt_ids"] == rows.rows[0]["extra_info"]["prompt_ids"]
    assert (output.response_ids, output.response_mask) == ([5, 6, 2], [1, 1, 1])
    assert output.response_logprobs == [-0.1, -0.2, -0.3]


def test_every_end_of_a_turn_is_a_stop_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = written(tmp_path)
    hand_over(recipe, tmp_path, monkeypatch)
    rows = Rows("train", None, None)
    row = rows[0]
    row["extra_info"] = {**row["extra_info"], "ends": [2, 7]}
    _, asked = played("stiefel", row, recipe, load_tokenizer("nano"))
    assert asked["sampling_params"]["stop_token_ids"] == [2, 7]
    assert asked["sampling_params"]["temperature"] == 1.0
    assert "stop" not in asked["sampling_params"]


def test_completions_of_one_prompt_at_once_keep_their_own_tokens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """verl makes a loop for every completion."""
    recipe = written(tmp_path)
    hand_over(recipe, tmp_path, monkeypatch)
    rows, tokenizer = Rows("train", None, None), load_tokenizer("nano")
    first, second = (played("stiefel", rows[place], recipe, tokenizer)[0] for place in (0, 1))
    assert first.prompt_ids != second.prompt_ids
    assert issubclass(hydra.utils.get_class(_agent_loop_registry["stiefel"]["_target_"]), SingleTurnAgentLoop)
