"""Multiple choice: the letter that a completion settles on, by a stated precedence."""

from __future__ import annotations

import re
import string
from collections.abc import Mapping, Sequence
from typing import Any

from .extract import after_thinking, last_boxed
from .grade import Grade, UnreadableGold

MOST = 10  # letters A to J, where the number of choices is not known
TAIL = 20_000  # characters of a completion, from its end, that are read

PRECEDENCE = (
    "the last box",
    'the last "answer is" or "answer:"',
    "the last line that is a letter alone, or a letter and its choice's text",
    "the last letter in parentheses",
    "the completion is one choice's text",
)
# LETTERS stands for A to the last; around one, markdown, LaTeX and brackets, then nothing that would make it a word
OPENING = r"[\s*_`\"'$(\[{]|\\text(?:bf)?\{|\\mathrm\{|\\boxed\{|\\\("
WRAPPED = rf"(?:{OPENING}){{0,8}}([LETTERS])(?![A-Za-z0-9'’])"
VERB = r"(?:\s+(?:is|should\s+be|would\s+be|must\s+be)|\s*:)(?:\s*:)?"
STATED = rf"(?i:\b(?:answer|choice|option){VERB}(?:\s*(?:option|choice|letter))?){WRAPPED}"
LINE = rf"(?m)^{WRAPPED}(?=[\s*_`\"'$)\]}}.:]*$|\s*[).:]\**\s)"
BRACKETED = r"\(([LETTERS])\)"
ALSO = r"[\s*_`\"'$)\]}.]{0,8}(?:,|/|&|\bor\b|\band\b)[\s*_`\"'$(\[{]{0,8}(?:option\s+)?([LETTERS])(?![A-Za-z0-9'’])"


def grade_choice(completion: str, answer: Any, *, choices: Any = None, **row: Any) -> Grade:
    """1 if the completion's letter is the gold's.

    answer: a letter, an index counted from 0, or a choice's text; choices: the row's column of their texts. The letter
    is sought after any thinking, in the order of `PRECEDENCE`; the first of these that is there decides. A statement
    that names two letters ("A or B") is no answer.
    """
    texts = choice_texts(choices)
    try:
        gold = gold_letter(answer, texts)
    except UnreadableGold as error:
        return Grade(None, None, f"unreadable gold: {error}")
    found, where = letter(after_thinking(completion)[-TAIL:].strip(), texts)
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
    """The gold's letter; an index may be a text, as it is where it was read from JSON."""
    text = answer.strip() if isinstance(answer, str) else ""
    if text and text in choices:
        return string.ascii_uppercase[choices.index(text)]
    if text.isdecimal():
        answer = int(text)
    if isinstance(answer, int) and not isinstance(answer, bool) and 0 <= answer < len(choices):
        return string.ascii_uppercase[answer]
    bare = text.strip("()[]. ").upper()
    if len(bare) == 1 and bare in string.ascii_uppercase[: len(choices)]:
        return bare
    raise UnreadableGold(f"{answer!r} is none of {len(choices)} choices")


def letter(text: str, choices: Sequence[str]) -> tuple[str | None, str]:
    """(the letter, where it was read), or (None, why there is none)."""
    letters = string.ascii_uppercase[: len(choices)]
    boxed = last_boxed(text)
    if boxed is not None:
        return settled(boxed, f"^{WRAPPED}", letters, PRECEDENCE[0]) or by_text(boxed, choices)
    for pattern, where in ((STATED, PRECEDENCE[1]), (LINE, PRECEDENCE[2]), (BRACKETED, PRECEDENCE[3])):
        found = settled(text, pattern, letters, where)
        if found is not None:
            return found
    return by_text(text, choices)


def settled(text: str, pattern: str, letters: str, where: str) -> tuple[str | None, str] | None:
    """The last match's letter, unless it goes on with a second one; None without a match."""
    matches = list(re.finditer(pattern.replace("LETTERS", letters), text))
    if not matches:
        return None
    found = matches[-1]
    also = re.match(ALSO.replace("LETTERS", letters), text[found.end() :])
    if also and also[1] != found[1]:
        return None, f"{where} names two letters"
    return found[1], where


def by_text(text: str, choices: Sequence[str]) -> tuple[str | None, str]:
    """The letter of the one choice whose text this is, whatever its case and final point."""
    plain = text.strip().strip(".").casefold()
    found = [index for index, choice in enumerate(choices) if choice and choice.strip().strip(".").casefold() == plain]
    if len(found) == 1:
        return string.ascii_uppercase[found[0]], PRECEDENCE[4]
    return None, "no letter"
