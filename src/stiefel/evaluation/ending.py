"""Where a completion ends by a text; by a token it ends where a turn does."""

from __future__ import annotations

from collections.abc import Iterable


def cut_at(text: str, stop: Iterable[str]) -> str:
    """The text before the first of the stop texts in it."""
    places = [text.find(mark) for mark in stop]
    return text[: min((place for place in places if place >= 0), default=len(text))]
