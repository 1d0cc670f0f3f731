"""Which letter a completion settles on, by a stated precedence."""

from __future__ import annotations

import string
from collections.abc import Sequence

from .boxes import boxed, boxes
from .lines import begun_with, bracketed, last_of, lines, small, without_lists, without_own_list
from .plain import plain
from .standing import Choices
from .statements import conclusions, mentions, strong, without_denied
from .texts import by_text

MOST = 10  # letters A to J, where the number of choices is not known

NONE = (None, "no letter")

PRECEDENCE = (
    "the last box that holds a letter or a choice",
    'the last "answer is", "answer:", "I choose" or "B is correct"',
    'the last "so B" or "it is B" that ends its sentence',
    'the last "option B"',
    "the last line that is a letter alone, or a letter and its choice's text",
    "the last letter in parentheses",
    "a small letter alone at the end",
    "the completion is one choice's text",
)


def letter(text: str, texts: Sequence[str]) -> tuple[str | None, str]:
    """(the letter, where it was read), or (None, why there is none)."""
    choices = Choices(string.ascii_uppercase[: len(texts)], tuple(plain(choice) for choice in texts))
    text = without_own_list(plain(text), choices)
    found = boxes(text)
    if not found:
        return settled(text, choices) or NONE
    held = boxed(found[-1], choices)
    after = text[found[-1].end :].lstrip(" \t\n.,;:$\\])")
    if held is not None and held.by_letter:
        return named(held.letter, PRECEDENCE[0])
    if held is not None:  # a result of the working may be a choice's text: a later answer stands before it
        return announced(after, choices) or named(held.letter, PRECEDENCE[0])
    later = settled(after, choices)
    if later or found[-1].says_none:
        return later or NONE
    for box in reversed(found[:-1]):
        held = boxed(box, choices)
        if held is not None:
            return named(held.letter, PRECEDENCE[0])
    return announced(text[: found[-1].start], choices) or NONE


def announced(text: str, choices: Choices) -> tuple[str | None, str] | None:
    """What is said to be the answer."""
    said = strong(without_denied(text, choices.letters), choices)
    return named(said[-1].letter, PRECEDENCE[1]) if said else None


def settled(text: str, choices: Choices) -> tuple[str | None, str] | None:
    """The letter of a text without boxes, by what follows them in `PRECEDENCE`."""
    said = announced(text, choices)
    if said:
        return said
    text = without_lists(without_denied(text, choices.letters), choices).strip()
    whole, mentioned = mentions(text, choices)
    own, begun = lines(text, choices)
    for found, where in (
        (conclusions(text, choices), PRECEDENCE[2]),
        (whole, PRECEDENCE[3]),
        (own, PRECEDENCE[4]),
        (mentioned, PRECEDENCE[3]),
        (begun, PRECEDENCE[4]),
        (begun_with(text, choices), PRECEDENCE[4]),
        (bracketed(text, choices), PRECEDENCE[5]),
    ):
        last = last_of(found, text, choices.letters)
        if last:
            return named(last.letter, where)
    alone = small(text, choices)
    if alone:
        return named(alone, PRECEDENCE[6])
    in_words = by_text(text, choices)
    return named(in_words, PRECEDENCE[7]) if in_words else None


def named(letter: str, where: str) -> tuple[str | None, str]:
    """A letter that was found, or that there is not one."""
    return (letter, where) if letter else (None, f"{where} names no single letter")
