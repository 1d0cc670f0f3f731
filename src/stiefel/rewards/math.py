r"""Mathematical answers: read from a completion, and compared with a gold by `math-verify`.

In-process and unbounded: a hostile answer can take for ever, so training and evaluation go through `pool`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any

from .equal import capitals, equal, parse, renamed, same_words, verified
from .extract import after_thinking, all_boxed_at_the_end, answer_line
from .grade import Grade, UnreadableGold
from .latex import BASED, CURRENCY, LONGEST_ANSWER, SIGNS, normalised, plain_number
from .values import Values, same_values, values

TAIL = 2_000  # characters of a completion without any mark, in which its last expression is sought
DIGITS = r"(?:\d{1,3}(?:,\d{3})+|\d+)"
LAST_NUMBER = re.compile(rf"(?<![\w)])(?:[-+]?[{CURRENCY}]?{DIGITS}(?:\.\d+)?(?:/\d+)?(?:\s?\\?%)?|-?\.\d+)")
MARK = "####"  # GSM8K's, and a heading's in Markdown
HEADING = re.compile(r"[\s*_`]*(?:[A-Za-z]{2,}|\d+[.)]\s+[*_`]*[A-Za-z])")
# what a completion says that the answer is not
DENIED = re.compile(
    r"(?:\b(?:not|isn't|neither|nor)\s+(?:be\s+|equal\s+to\s+)?|\bwhether\s+it\s+is\s+)"
    r"(?:\$[^$\n]{1,200}\$|\\\([^\n]{1,200}?\\\)|[^\w\s]{0,3}\d[\d.,]*(?:/\d+)?)",
    re.IGNORECASE,
)
ONE_OF_TWO = re.compile(
    r"[\d.,/]+[^\w\n]{0,3}\s+or\s+[^\w\n]{0,3}$|\bbetween\s+\S{1,20}\s+and\s+[^\w\n]{0,3}$", re.IGNORECASE
)
HEDGED = re.compile(r"\\text\{[^{}]*\b(?:or|not)\b\s+[^{}]*[a-z]{3}", re.IGNORECASE)
# two numbers where one is wanted: "5 (or 6)", "5 hours 30 minutes", "5 cm × 6 cm", of which math-verify reads the first
SECOND = re.compile(
    r"\\text\{[^{}]*\bor\b[^{}]*\d|\d\D*\\(?:text|mathrm)\{[^{}]*[a-z][^{}]*\}(?:\^\{?-?\d\}?)?[^\d^]*\d",
    re.IGNORECASE,
)
ALONE = re.compile(r"(?<![A-Za-z\\])[A-Z](?![A-Za-z])")  # a capital that is no part of a word
BY_CASES = re.compile(r"\\text\{[^{}]*\b(?:otherwise|else)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Gold:
    """A gold answer, read."""

    text: str
    number: Fraction | None
    values: Values | None  # where it is made of plain numbers


def grade_math(completion: str, answer: Any) -> Grade:
    r"""1 if the completion's answer equals the gold as mathematics.

    The answer is, after any thinking: the last `\boxed{}` (with its neighbours in "\boxed{1} and \boxed{2}"); else
    what follows the last line's "Answer:"; else what follows `####`; else the last expression that math-verify finds.
    """
    return graded(completion, answer, read_marked)


def grade_gsm8k(completion: str, answer: Any) -> Grade:
    """As `grade_math`, where the completion's answer may also stand after `####`, and is else its last number."""
    return graded(completion, answer, read_number)


def graded(completion: str, answer: Any, read: Callable[[str], str | None]) -> Grade:
    """The grade, with the gold read first: nothing else is done where that fails."""
    try:
        gold = read_gold(gold_text(answer))
    except UnreadableGold as error:
        return Grade(None, None, f"unreadable gold: {error}")
    text = after_thinking(completion)
    found = read(text)
    if found is None:
        return last_expression(text, gold)
    if sentence(found):
        return last_expression(found, gold)
    return compared(found, gold)


def sentence(found: str) -> bool:
    """Whether an answer's line goes on in words: "She makes $18 per day"."""
    words = re.findall(r"(?<![\\A-Za-z{])[A-Za-z']{2,}", normalised(found)[:LONGEST_ANSWER])
    return len(words) > 2 and bool(re.search(r"\d", found)) and "\\text" not in found


def read_marked(text: str) -> str | None:
    """The boxed answer, or the answer's line, or what follows `####`."""
    for read in (all_boxed_at_the_end, answer_line, after_mark):
        found = read(text)
        if found is not None:
            return found
    return None


def after_mark(text: str) -> str | None:
    """What follows the last `####` on its line, unless that is a heading."""
    _, mark, after = text.rpartition(MARK)
    line = after.strip().partition("\n")[0]
    return line if mark and line and not HEADING.match(line) else None


def read_number(text: str) -> str | None:
    """What follows `####`, the boxed answer, the answer's line, the last number: the first of these that is there."""
    for read in (after_mark, read_marked):
        found = read(text)
        if found is not None:
            return found
    return last_number(text) or ""


def last_number(text: str) -> str | None:
    """A completion's last number, with the one before it in "7 or 8"."""
    tail = DENIED.sub("not", text[-TAIL:].replace("−", "-"))
    numbers = list(LAST_NUMBER.finditer(tail))
    if not numbers:
        return None
    also = ONE_OF_TWO.search(tail, max(0, numbers[-1].start() - 60), numbers[-1].start())
    return f"{also[0]} {numbers[-1][0]}" if also else numbers[-1][0]


def gold_text(answer: Any) -> str:
    r"""A gold without its wrapping: the solution before `####`, `\boxed{}`, `$…$`."""
    if isinstance(answer, bool) or not isinstance(answer, (str, int, float)):
        raise UnreadableGold(f"{answer!r} is neither a text nor a number")
    text = str(answer)
    if text.strip().lower() in {"nan", "inf", "-inf"}:
        raise UnreadableGold(f"{text.strip()} is no number")
    text = text.rpartition(MARK)[2] if MARK in text else text
    boxed = all_boxed_at_the_end(text)
    text = normalised(text if boxed is None else boxed)
    if not text:
        raise UnreadableGold("it is empty")
    if len(text) > LONGEST_ANSWER:
        raise UnreadableGold(f"it has {len(text)} characters")
    return text


@lru_cache(maxsize=20_000)
def read_gold(text: str) -> Gold:
    """A gold's value; raises UnreadableGold where math-verify cannot read it."""
    plain = values(text)
    if plain is None and not parses(text):
        raise UnreadableGold(f"math-verify cannot parse {text[:200]!r}")
    return Gold(text, plain_number(text), plain)


def parses(text: str) -> bool:
    """Whether math-verify makes more of it than a text."""
    return any(not isinstance(value, str) for value in parse(text))


def compared(found: str, gold: Gold) -> Grade:
    """The grade of an answer that has been read out."""
    if len(found) > LONGEST_ANSWER:
        return Grade(0.0, found[:200], f"an answer of {len(found)} characters")
    text = normalised(found)
    if not text:
        return Grade(0.0, None, "no answer")
    shown = text[:200]
    if text == gold.text or same_words(gold.text, text):
        return Grade(1.0, shown, "the same text")
    if HEDGED.search(text) or (BY_CASES.search(text) and not BY_CASES.search(gold.text)):
        return Grade(0.0, shown, "no single answer")
    if gold.number is not None and "=" not in text and SECOND.search(text):
        return Grade(0.0, shown, "no single answer")
    if len({number for part in text.split("=") if (number := plain_number(part)) is not None}) > 1:
        return Grade(0.0, shown, "it says that two different numbers are equal")
    if BASED.fullmatch(gold.text):
        same = text == gold.text.partition("_")[0]  # the base may go without saying
        return Grade(float(same), shown, "the same digits" if same else "other digits, or another base")
    number = plain_number(text)
    if number is not None and gold.number is not None:
        same = number == gold.number
        return Grade(float(same), shown, "the same number" if same else "another number")
    plain = values(text)
    if plain is not None and gold.values is not None:
        decided = same_values(gold.values, plain)
        if decided is not None:
            return Grade(float(decided), shown, "the same numbers" if decided else "other numbers")
    if not parses(text):
        return Grade(0.0, shown, "the answer does not parse")
    same = equal(gold.text, text)
    return Grade(float(same), shown, "equal by math-verify" if same else "not equal by math-verify")


def last_expression(text: str, gold: Gold) -> Grade:
    """The grade of a completion without a mark: math-verify looks for its last expression."""
    from math_verify import parse as parse_text

    tail = re.sub(r"\\\$(?=\d)|[`<>](?=/?\w)", " ", DENIED.sub("not", text[-TAIL:].translate(SIGNS)))
    names = capitals(gold.text)
    tail = ALONE.sub(lambda match: names.get(match[0], match[0]), tail)
    parsed = parse_text(tail, parsing_timeout=None)
    if not parsed:
        return Grade(0.0, None, "no answer")
    number = last_number(text)
    if gold.number is not None and number is not None and re.search(r"\b(?:or|between)\b", number):
        return Grade(0.0, number[:200], "no single answer")
    same = verified(parse(renamed(gold.text, names)), tuple(parsed))
    return Grade(float(same), str(parsed[-1])[:200], "equal by math-verify" if same else "not equal by math-verify")
