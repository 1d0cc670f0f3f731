"""Multiple choice: the letter that a completion settles on, by a stated precedence."""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence
from typing import Any

from .chosen import MOST, letter
from .extract import after_thinking, answered
from .grade import Grade, UnreadableGold

TAIL = 20_000  # characters of a completion, from its end, that are read


def grade_choice(completion: str, answer: Any, *, choices: Any = None, **row: Any) -> Grade:
    """1 if the completion's letter is the gold's.

    answer: a letter, an index counted from 0, or a choice's text; choices: the row's column of their texts. The letter
    is sought after any thinking, in the order of `chosen.PRECEDENCE`; the first of these that is there decides. A
    statement that names two letters ("A or B") is no answer.
    """
    texts = choice_texts(choices)
    try:
        gold = gold_letter(answer, texts)
    except UnreadableGold as error:
        return Grade(None, None, f"unreadable gold: {error}")
    found, where = letter(answered(after_thinking(completion)[-TAIL:]).strip(), texts)
    if found is None:
        return Grade(0.0, None, where)
    return Grade(float(found == gold), found, f"read from {where}")


def choice_texts(choices: Any) -> list[str]:
    """The choices' texts, from a list, MedQA's {letter: text} or ARC's {"text": [...]}; empty where none are given."""
    if choices is None:
        return [""] * MOST
    if isinstance(choices, Mapping):
        choices = choices["text"] if "text" in choices else choices.values()
    return [str(choice) for choice in choices]


def gold_letter(answer: Any, choices: Sequence[str]) -> str:
    """The gold's letter. A number is an index from 0; a text is the first that fits of: a capital letter, a choice's
    text, an index, a small letter. So a choice that reads "C" does not stand before the letter C.
    """
    letters = string.ascii_uppercase[: len(choices)]
    if isinstance(answer, int) and not isinstance(answer, bool) and 0 <= answer < len(letters):
        return letters[answer]
    text = answer.strip() if isinstance(answer, str) else ""
    bare = text.strip("()[]. ")
    if len(bare) == 1 and bare in letters:
        return bare
    if text and text in choices[: len(letters)]:
        return letters[choices.index(text)]
    if text.isdecimal() and int(text) < len(letters):
        return letters[int(text)]
    if len(bare) == 1 and bare.upper() in letters:
        return bare.upper()
    raise UnreadableGold(f"{answer!r} is none of {len(choices)} choices")
