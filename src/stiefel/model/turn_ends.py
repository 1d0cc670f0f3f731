"""The tokens that end a turn: what the chat template writes after an answer, the tokenizer's end, the model's own.

They are often three different ones. A base model's tokenizer ends a document (`<|endoftext|>`), its template ends a
turn (`<|im_end|>`), and generation_config.json may name either, or both. A model that has learned the one and is
stopped at the other writes on until it is cut off.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from jinja2 import TemplateError
from transformers import GenerationConfig

from ..artifacts import read_json
from ..errors import UserError

SENTINEL = "31415926535"  # an answer that no template writes by itself, and that survives being trimmed

EndTokens = int | list[int] | None  # as a generation config holds them


def turn_end(tokenizer: Any) -> int | None:
    """The token that closes an assistant's message in the chat template; None where there is none.

    A message is rendered, and the first token after it counts that stands for more than text: one that was added to the
    vocabulary, special or not, and is no space (some vocabularies have runs of spaces among these). A template that
    does not render a dialogue of two messages says nothing of their ends.
    """
    template = tokenizer.chat_template
    if template is None or (isinstance(template, dict) and "default" not in template):
        return None
    dialogue = [{"role": "user", "content": "?"}, {"role": "assistant", "content": SENTINEL}]
    try:
        text: str = tokenizer.apply_chat_template(dialogue, tokenize=False)
    except TemplateError:
        return None
    _, found, after = text.rpartition(SENTINEL)
    ids: list[int] = tokenizer(after, add_special_tokens=False)["input_ids"] if found and after else []
    added = {number for number, token in tokenizer.added_tokens_decoder.items() if token.content.strip()}
    return next((number for number in ids if number in added), None)


def end_ids(tokenizer: Any, of_model: EndTokens, named: Sequence[str] = ()) -> list[int]:
    """Every token that ends a turn, sorted: the template's, the tokenizer's, the model's, and those of these names."""
    listed = of_model if isinstance(of_model, list) else [of_model]
    found = (turn_end(tokenizer), tokenizer.eos_token_id, *listed, *(token_named(tokenizer, name) for name in named))
    return sorted({number for number in found if number is not None})


def model_ends(directory: Path) -> int | list[int] | None:
    """The end tokens that generation_config.json names, or else config.json."""
    place = "generation_config.json"
    if not (directory / place).is_file():
        place = "config.json"
    ends: int | list[int] | None = GenerationConfig.from_dict(read_json(directory / place)).eos_token_id
    return ends


def token_named(tokenizer: Any, name: str) -> int:
    """The one token that a text stands for; raises UserError where it is none, or several."""
    vocabulary: dict[str, int] = tokenizer.get_vocab()
    if name in vocabulary:
        return vocabulary[name]
    ids: list[int] = tokenizer(name, add_special_tokens=False)["input_ids"]
    if len(ids) != 1 or tokenizer.decode(ids).strip() != name.strip():  # one that stands for whatever is unknown
        raise UserError(
            f"the turn end {name!r} is not one token of the model's tokenizer",
            f"it is {len(ids)} of them, and generation stops at single tokens"
            if len(ids) != 1
            else "the tokenizer does not know it",
            "name a token as the tokenizer writes it, such as <|im_end|>",
        )
    return ids[0]


def let_turns_end(model: Any, tokenizer: Any, named: Sequence[str] = ()) -> None:
    """Write all ends into a model's generation config, which whatever generates with it or saves it reads."""
    config = model.generation_config
    before = config.eos_token_id
    ends = end_ids(tokenizer, before, named)
    if set(ends) != set(before if isinstance(before, list) else [before]):
        config.eos_token_id = ends


def closing_token(tokenizer: Any, *, chat: bool) -> int:
    """The token that the last answer of a supervised row ends with: the template's in a chat, else the tokenizer's."""
    of_template = turn_end(tokenizer) if chat else None
    closing = tokenizer.eos_token_id if of_template is None else of_template
    assert isinstance(closing, int), "a tokenizer without an end of sequence is refused when it is loaded"
    return closing


def visible_ends(tokenizer: Any, ends: Iterable[int]) -> tuple[str, ...]:
    """What decoding leaves of the ends in a text where special tokens are left out: those that are not special."""
    texts = (tokenizer.decode([number], skip_special_tokens=True) for number in ends)
    return tuple(text for text in texts if text)
