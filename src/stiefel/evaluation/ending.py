"""Where a completion ends."""

from __future__ import annotations

from collections.abc import Iterable


def end_ids(of_model: int | list[int] | None, of_tokenizer: int | None) -> set[int]:
    """The tokens that end a sequence: all that generation_config names, and the tokenizer's own."""
    named = of_model if isinstance(of_model, list) else [of_model]
    return {token for token in (*named, of_tokenizer) if token is not None}


def cut_at(text: str, stop: Iterable[str]) -> str:
    """The text before the first of the stop texts in it."""
    places = [text.find(mark) for mark in stop]
    return text[: min((place for place in places if place >= 0), default=len(text))]
