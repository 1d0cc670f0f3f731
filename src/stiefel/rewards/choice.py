"""Multiple choice: the letter that a completion settles on, by a stated precedence."""

from __future__ import annotations

import re
import string
from collections.abc import Mapping, Sequence
from typing import Any

from .extract import after_thinking, all_boxed_at_the_end, answered
from .grade import Grade, UnreadableGold

MOST = 10  # letters A to J, where the number of choices is not known
TAIL = 20_000  # characters of a completion, from its end, that are read

PRECEDENCE = (
    "the last box",
    'the last "answer is", "answer:", "option B", "I choose" or "B is correct"',
    "the last line that is a letter alone, or a letter and its choice's text",
    "the last letter in parentheses",
    "a small letter alone at the end",
    "the completion, or what it says that the answer is, is one choice's text",
)
# LETTERS stands for A to the last; around one, markdown, LaTeX and brackets, then nothing that would make it a word
OPENING = r"[\s*_`\"'$(\[{]|\\text(?:bf)?\{|\\mathrm\{|\\boxed\{|\\\("
ENDED = r"(?![A-Za-z0-9'’])"
WRAPPED = rf"(?:{OPENING}){{0,8}}([LETTERS]){ENDED}"
VERB = r"[*_`\"']*(?:\s+(?:is|should\s+be|would\s+be|must\s+be)|\s*:)(?:\s*:)?(?:\s+(?:therefore|thus|clearly))?"
NAMED = r"(?:\s*(?:option|choice|letter))?"
STATED = "|".join(
    (
        rf"(?i:\b(?:answer|choice|option){VERB}{NAMED}){WRAPPED}(?!\s*\?)",
        rf"(?i:\b(?:choose|chose|pick|select|go\s+with|answer|option|choice){NAMED}){WRAPPED}(?!\s+(?!is\b)[a-z]|\s*\?)",
        rf"{WRAPPED}[*_`\"'$)\]}}]{{0,6}}(?i:\s+is\s+(?:the\s+)?(?:correct|right|best))",
    )
)
LINE = rf"(?m)^{WRAPPED}(?=[\s*_`\"'$)\]}}.:]*$|\s*[).:]\**\s|\s+[-–—]\s)"
BRACKETED = r"\(([LETTERS])\)"
SMALL = (
    r"(?im)(?:\A|\b(?:answer|choice|option)\**(?:\s*:|\s+is)(?:\s*:)?)[\s*_`$(\[]{0,8}([LETTERS])[\s*_`$)\].]{0,8}\Z"
)
ALSO = (
    rf"[\s*_`\"'$)\]}}.]{{0,8}}(?:,|;|/|&|\bor\b|\band\b)[\s*_`\"'$(\[{{]{{0,8}}(?:option\s+)?([LETTERS]){ENDED}"
    rf"|[ ]([LETTERS]){ENDED}(?![ ][a-z])"
)
DENIED = (
    rf"(?i:\b(?:not|isn't|neither|nor|never){NAMED})\s*{WRAPPED}\)?",
    rf"{WRAPPED}[*_`)\]]{{0,6}}(?i:\s+(?:is|was|would\s+be|cannot\s+be)\s+(?:\w+\s+)?(?:not|wrong|incorrect|false))\b",
)
SAID = re.compile(rf"(?i:\b(?:answer|choice|option){VERB})[ \t*_`]*([^\n]+)")


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
    boxed = all_boxed_at_the_end(text)
    if boxed is not None:
        return settled(boxed, f"^{WRAPPED}", letters, PRECEDENCE[0]) or by_text(boxed, choices)
    text = without_denied(text, letters)
    for pattern, where in ((STATED, PRECEDENCE[1]), (LINE, PRECEDENCE[2]), (BRACKETED, PRECEDENCE[3])):
        found = settled(text, pattern, letters, where)
        if found is not None:
            return found
    small = re.search(SMALL.replace("LETTERS", letters), text)
    if small:
        return small[1].upper(), PRECEDENCE[4]
    said: list[str] = SAID.findall(text)
    return by_text(said[-1] if said else text, choices)


def without_denied(text: str, letters: str) -> str:
    """The text without the letters that it says are wrong."""
    for pattern in DENIED:
        text = re.sub(pattern.replace("LETTERS", letters), " ", text)
    return text


def settled(text: str, pattern: str, letters: str, where: str) -> tuple[str | None, str] | None:
    """The last match's letter, unless it goes on with a second one; None without a match."""
    matches = list(re.finditer(pattern.replace("LETTERS", letters), text))
    if not matches:
        return None
    found = next(group for group in matches[-1].groups() if group)
    also = re.match(ALSO.replace("LETTERS", letters), text[matches[-1].end() :])
    if also and (also[1] or also[2]) != found:
        return None, f"{where} names two letters"
    return found, where


def by_text(text: str, choices: Sequence[str]) -> tuple[str | None, str]:
    """The letter of the one choice whose text this is, whatever its case and final point."""
    plain = text.strip().strip(".").casefold()
    found = [index for index, choice in enumerate(choices) if choice and choice.strip().strip(".").casefold() == plain]
    if len(found) == 1:
        return string.ascii_uppercase[found[0]], PRECEDENCE[5]
    return None, "no letter"
