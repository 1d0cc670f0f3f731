"""Whether a program printed what a case wants."""

from __future__ import annotations

import re

ABSOLUTE, RELATIVE = 1e-6, 1e-9
FLOAT = re.compile(r"[+-]?(?:\d{1,300}\.\d{0,300}|\.\d{1,300}|\d{1,300}(?:\.\d{0,300})?[eE][+-]?\d{1,3})")
SPACE = re.compile(r"(\s+)")
NUMBER = re.compile(r"[+-]?(?:\d{1,300}(?:\.\d{0,300})?|\.\d{1,300})(?:[eE][+-]?\d{1,3})?")


def same_output(printed: str, wanted: str) -> bool:
    """Line by line, white space at a line's end and line breaks at the end left aside.

    A number that is wanted with a decimal point may be printed with other decimals, within 1e-6, or 1e-9 of its size;
    a whole number, and all else, is compared as it is written.
    """
    ours, theirs = lines_of(printed), lines_of(wanted)
    return len(ours) == len(theirs) and all(map(same_line, ours, theirs))


def lines_of(text: str) -> list[str]:
    """The lines without white space at their ends, and without empty ones at the text's."""
    return [line.rstrip() for line in text.replace("\r\n", "\n").rstrip().split("\n")]


def same_line(printed: str, wanted: str) -> bool:
    """The same text, or the same words and spaces with numbers that are close."""
    if printed == wanted:
        return True
    words, theirs = SPACE.split(printed), SPACE.split(wanted)
    return len(words) == len(theirs) and all(map(same_word, words, theirs))


def same_word(printed: str, wanted: str) -> bool:
    """The same word, or a decimal number close to the one that is wanted."""
    if printed == wanted:
        return True
    if not FLOAT.fullmatch(wanted) or not NUMBER.fullmatch(printed):
        return False
    ours, theirs = float(printed), float(wanted)
    return abs(ours - theirs) <= max(ABSOLUTE, RELATIVE * abs(theirs))
