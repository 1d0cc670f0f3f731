"""Which tokens end a turn: of templates as they are written in the wild, and of what is named beside them."""

from __future__ import annotations

from typing import Any

import pytest

from stiefel.errors import UserError
from stiefel.model.turn_ends import closing_token, end_ids, let_turns_end, turn_end, visible_ends
from stiefel.model.weights import load_model, load_tokenizer
from tests.chats import QWEN, chat_tokenizer

LOOP = "{% for message in messages %}%s{% endfor %}"
ENDS = "{{ message.role }}: {{ message.content }}"


def named(tokenizer: Any, *texts: str) -> list[int]:
    return sorted(tokenizer.convert_tokens_to_ids(list(texts)))


@pytest.mark.parametrize(
    ("template", "end"),
    [
        (QWEN, "<|im_end|>"),
        (LOOP.replace("%s", ENDS + "<|im_end|>"), "<|im_end|>"),
        (LOOP.replace("%s", ENDS + " \n<|im_end|>\n"), "<|im_end|>"),  # space before it too
        (LOOP.replace("%s", "{{ message.content | trim }}<|eot|>\n") + "{{ eos_token }}", "<|eot|>"),  # Phi-3's shape
        (LOOP.replace("%s", ENDS + "{{ eos_token + '\n' }}"), "<|endoftext|>"),  # Zephyr's
        (
            LOOP.replace("%s", "{% if message.role == 'assistant' %}{{ message.content + eos_token }}{% endif %}"),
            "<|endoftext|>",
        ),
        (LOOP.replace("%s", ENDS + "\n"), None),  # Alpaca's: text alone
        (LOOP.replace("%s", ENDS), None),
        (LOOP.replace("%s", "{% if message.role == 'user' %}{{ message.content }}{% endif %}<|im_end|>"), None),
        ("{{ raise_exception('one message alone') }}", None),
        (None, None),
    ],
)
def test_the_template_says_where_a_turn_ends(template: str | None, end: str | None) -> None:
    tokenizer = chat_tokenizer(template)
    assert turn_end(tokenizer) == (None if end is None else tokenizer.convert_tokens_to_ids(end))


def test_an_end_need_not_be_special_and_added_spaces_are_none() -> None:
    template = LOOP.replace("%s", ENDS + "  <end>\n")
    tokenizer = chat_tokenizer(template, one="<end>", two="  ")
    assert turn_end(tokenizer) == tokenizer.convert_tokens_to_ids("<end>")
    assert turn_end(chat_tokenizer(template)) is None  # five tokens of text
    assert visible_ends(tokenizer, end_ids(tokenizer, None)) == ("<end>",)
    assert visible_ends(chat_tokenizer(), end_ids(chat_tokenizer(), None)) == ()


def test_several_templates_are_asked_for_the_usual_one() -> None:
    tokenizer = chat_tokenizer()
    tokenizer.chat_template = {"tool_use": LOOP.replace("%s", ENDS + "<|eot|>"), "default": QWEN}
    assert turn_end(tokenizer) == tokenizer.convert_tokens_to_ids("<|im_end|>")
    tokenizer.chat_template = {"tool_use": QWEN}
    assert turn_end(tokenizer) is None


def test_the_ends_are_the_templates_the_tokenizers_the_models_and_those_that_are_named() -> None:
    tokenizer = chat_tokenizer()
    assert end_ids(tokenizer, None) == named(tokenizer, "<|im_end|>", "<|endoftext|>")
    (user,) = named(tokenizer, "<|user|>")
    assert end_ids(tokenizer, user) == end_ids(tokenizer, [user]) == sorted([*end_ids(tokenizer, None), user])
    assert end_ids(tokenizer, None, ["<|eot|>", "\n"]) == sorted(
        [*end_ids(tokenizer, None), *named(tokenizer, "<|eot|>", "\n")]
    )
    assert end_ids(chat_tokenizer(None), None) == named(tokenizer, "<|endoftext|>")


@pytest.mark.parametrize("name", ["<|eom|>", "ab", "", "é"])
def test_a_name_that_is_not_one_token_is_refused(name: str) -> None:
    with pytest.raises(UserError, match="not one token"):
        end_ids(chat_tokenizer(), None, [name])


def test_a_row_closes_with_the_templates_end_in_a_chat_and_with_the_tokenizers_in_a_text() -> None:
    tokenizer = chat_tokenizer()
    assert [closing_token(tokenizer, chat=True)] == named(tokenizer, "<|im_end|>")
    assert [closing_token(tokenizer, chat=False)] == named(tokenizer, "<|endoftext|>")
    assert [closing_token(chat_tokenizer(None), chat=True)] == named(tokenizer, "<|endoftext|>")


def test_a_generation_config_that_knows_all_ends_is_left_as_it_is() -> None:
    model, tokenizer = load_model("nano"), load_tokenizer("nano")
    let_turns_end(model, tokenizer)
    assert model.generation_config.eos_token_id == 2
    let_turns_end(model, tokenizer, [">"])
    assert model.generation_config.eos_token_id == sorted([2, tokenizer.convert_tokens_to_ids(">")])
