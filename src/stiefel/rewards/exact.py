"""Graders that compare text, character for character."""

from __future__ import annotations

from typing import Any

from .grade import Grade

MARK = ">"


def exact_after_mark(completion: str, answer: str) -> Grade:
    """1 if the text after the last ">" equals the answer; steps before it are free (nano's tasks)."""
    _, mark, extracted = completion.rpartition(MARK)
    if not mark:
        return Grade(0.0, None, f"no {MARK!r} before the end")
    if extracted == answer:
        return Grade(1.0, extracted, "equal")
    return Grade(0.0, extracted, "differs")


def exact(completion: str, answer: str, **row: Any) -> Grade:
    """1 if the whole completion equals the answer, white space around either left aside."""
    extracted = completion.strip()
    return Grade(1.0, extracted, "equal") if extracted == answer.strip() else Grade(0.0, extracted, "differs")
