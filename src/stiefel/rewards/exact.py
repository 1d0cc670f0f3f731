"""nano's grader: the text after the last ">" must be the answer, character for character."""

from __future__ import annotations

from .grade import Grade

MARK = ">"


def exact_after_mark(completion: str, answer: str) -> Grade:
    """1 if the text after the last ">" equals the answer; steps before it are free."""
    _, mark, extracted = completion.rpartition(MARK)
    if not mark:
        return Grade(0.0, None, f"no {MARK!r} before the end")
    if extracted == answer:
        return Grade(1.0, extracted, "equal")
    return Grade(0.0, extracted, "differs")
