"""Where a completion ends, by a token or by a text, and what it says up to there, whatever engine wrote it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .sample import Completion


def cut_at(text: str, stop: Iterable[str]) -> str:
    """The text before the first of the stop texts in it."""
    places = [text.find(mark) for mark in stop]
    return text[: min((place for place in places if place >= 0), default=len(text))]


def read_completion(
    tokenizer: Any, tokens: list[int], ends: set[int], stop: Iterable[str], *, truncated: bool
) -> Completion:
    """The tokens of a completion, up to the one with which it ended, as text."""
    ended = bool(tokens) and tokens[-1] in ends
    text = tokenizer.decode(tokens[:-1] if ended else tokens, skip_special_tokens=True)
    return Completion(cut_at(text, stop), len(tokens), truncated)
