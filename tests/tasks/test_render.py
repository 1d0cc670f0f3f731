"""What the model sees: equal to what TRL renders, and to what a tokenizer of messages gives."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from stiefel.errors import UserError
from stiefel.model.weights import load_tokenizer
from stiefel.recipe.recipe import make_recipe
from stiefel.tasks import find_task, rendered, training_task
from stiefel.tasks.render import prompt_tokens, shown, stops
from stiefel.training.rows import sft_rows, training_rows

TEMPLATE = "{{ bos_token }}{% for message in messages %}{{ message['content'] }}{% endfor %}" + (
    "{% if add_generation_prompt %}>{% endif %}"
)


@pytest.fixture
def chat() -> Any:
    tokenizer = load_tokenizer("nano")
    tokenizer.chat_template = TEMPLATE
    return tokenizer


@pytest.fixture
def base() -> Any:
    return load_tokenizer("nano")


def test_a_text_is_shown_as_it_is_to_a_base_model_and_as_a_message_to_a_chat_model(base: Any, chat: Any) -> None:
    assert rendered("12+3?", base, chat=True) == rendered("12+3?", chat, chat=False) == "12+3?"
    assert rendered("12+3?", chat, chat=True) == "<bos>12+3?>"
    assert shown("12+3?", chat, chat=True) == [{"role": "user", "content": "12+3?"}]


def test_messages_go_through_the_template_or_are_refused(base: Any, chat: Any) -> None:
    messages = [{"role": "system", "content": "12"}, {"role": "user", "content": "+3?"}]
    assert rendered(messages, chat, chat=False) == "<bos>12+3?>"
    with pytest.raises(UserError, match="no chat template"):
        rendered(messages, base, chat=True)


def test_a_prompts_tokens_are_those_of_its_text_and_begin_once(base: Any, chat: Any) -> None:
    for tokenizer, as_chat in ((base, True), (chat, False), (chat, True)):
        text = rendered("12+3?", tokenizer, chat=as_chat)
        tokens = prompt_tokens("12+3?", tokenizer, chat=as_chat)
        assert tokens.count(tokenizer.bos_token_id) == 1
        assert tokenizer.decode(tokens).removeprefix("<bos>") == text.removeprefix("<bos>")


def test_stops_hold_for_text_alone(base: Any, chat: Any) -> None:
    completed, asked = find_task("humaneval"), find_task("mbpp")
    assert "\ndef " in stops(completed, base)
    assert stops(completed, base) == stops(completed, chat) == completed.stop  # shown as text to both
    assert stops(asked, base) == ("[DONE]",)
    assert stops(asked, chat) == ()


def test_training_gives_trl_messages_where_they_are_rendered_and_text_where_not(
    base: Any, chat: Any, tmp_path: Path
) -> None:
    data = str(tmp_path / "rows.jsonl")
    Path(data).write_text(json.dumps({"question": "12+3?", "answer": "15"}) + "\n")
    tables = {"task": {"name": "gsm8k", "data": data}, "rollout": {"max_prompt_tokens": 200}}
    recipe = make_recipe({**tables, "optim": {"rollouts": 1}})
    task = training_task(recipe.task)
    prompt = task.rows("train", 1, 0)[0].text
    assert set(training_rows(recipe, task, base)["prompt"]) == {prompt}
    messages = [{"role": "user", "content": prompt}]
    assert all(row == messages for row in training_rows(recipe, task, chat)["prompt"])
    supervised = make_recipe({**tables, "algorithm": {"name": "sft"}})
    row = sft_rows(supervised, training_task(supervised.task), chat)[0]
    assert row["prompt"] == messages
    assert row["completion"] == [{"role": "assistant", "content": "\\boxed{15}\n#### 15"}]
    assert sft_rows(supervised, training_task(supervised.task), base)[0] == {
        "prompt": prompt,
        "completion": "\\boxed{15}\n#### 15",
    }
