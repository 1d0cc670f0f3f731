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

from .extract import after_thinking, all_boxed_at_the_end, answer_line
from .grade import Grade, UnreadableGold

LONGEST_ANSWER = 1_000  # characters; the longest in MATH-500 has 159
TAIL = 2_000  # characters of a completion without any mark, in which its last expression is sought
NUMBER = re.compile(r"[-+]?(?:\d{1,3}(?:,\d{3})+|\d+)?(?:\.\d+)?")
DIGITS = r"(?:\d{1,3}(?:,\d{3})+|\d+)"
LAST_NUMBER = re.compile(rf"(?<![\w)])(?:[-+]?\$?{DIGITS}(?:\.\d+)?(?:/\d+)?(?:\s?\\?%)?|-?\.\d+)")
MARK = "####"  # GSM8K's

SIGNS = str.maketrans(
    {"−": "-", "–": "-", "×": "\\times ", "·": "\\cdot ", "÷": "/"}
    | {"π": "\\pi ", "∞": "\\infty ", "°": "^\\circ ", "²": "^2", "³": "^3", "θ": "\\theta "}
    | {"≤": "\\le ", "≥": "\\ge ", "≠": "\\ne ", "±": "\\pm ", "∪": "\\cup ", "∩": "\\cap ", "∈": "\\in "}
    | {"½": "\\frac{1}{2}", "¼": "\\frac{1}{4}", "¾": "\\frac{3}{4}", "⅓": "\\frac{1}{3}", "⅔": "\\frac{2}{3}"}
    | {"\u00a0": " ", "\u202f": " ", "∅": "\\emptyset "}
)
MIXED = re.compile(r"([-+]?\d+)\s+(\d+)\s*/\s*(\d+)")
SCIENTIFIC = re.compile(r"([-+]?\d+(?:\.\d+)?)[eE]([-+]?\d+)")
REPEATING = re.compile(r"([-+]?)(\d*)\.(\d*)\\overline\{?(\d+)\}?")
BASED = re.compile(r"([0-9A-Z]+)_\{?(\d+)\}?")  # digits in a base, which math-verify drops
UNITS = re.compile(r"\\?\$?\s*([-+]?[\d,]*\.?\d+)\s+([A-Za-z]{2,}(?:[ .]+[A-Za-z]{2,})*)")
NOT_UNITS = {"and", "or", "mod", "pi", "sqrt", "times", "over", "percent", "percentage", "pct", "to", "hundred"}
NOT_UNITS |= {"thousand", "million", "billion", "dozen", "squared", "cubed", "plus", "minus", "inf", "infinity"}


@dataclass(frozen=True)
class Gold:
    """A gold answer, read."""

    text: str
    number: Fraction | None
    parsed: tuple[Any, ...]  # SymPy expressions, and math-verify's own fallback text


def grade_math(completion: str, answer: Any) -> Grade:
    r"""1 if the completion's answer equals the gold as mathematics.

    The answer is, after any thinking: the last `\boxed{}` (with its neighbours in "\boxed{1} and \boxed{2}"); else
    what follows the last line's "Answer:"; else the last expression that math-verify finds.
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
    if found is not None:
        return compared(found, gold)
    return last_expression(text, gold)


def read_marked(text: str) -> str | None:
    """The boxed answer, or the answer's line."""
    found = all_boxed_at_the_end(text)
    return answer_line(text) if found is None else found


def read_number(text: str) -> str | None:
    """What follows `####`, the boxed answer, the answer's line, the last number: the first of these that is there."""
    _, mark, after = text.rpartition(MARK)
    if mark and after.strip():
        return after.strip().splitlines()[0]
    marked = read_marked(text)
    if marked is not None:
        return marked
    numbers = LAST_NUMBER.findall(text[-TAIL:])
    return numbers[-1] if numbers else ""


def gold_text(answer: Any) -> str:
    r"""A gold without its wrapping: the solution before `####`, `\boxed{}`, `$…$`."""
    if isinstance(answer, bool) or not isinstance(answer, (str, int, float)):
        raise UnreadableGold(f"{answer!r} is neither a text nor a number")
    text = str(answer)
    text = text.rpartition(MARK)[2] if MARK in text else text
    boxed = all_boxed_at_the_end(text)
    text = normalised(text if boxed is None else boxed)
    if not text:
        raise UnreadableGold("it is empty")
    return text


@lru_cache(maxsize=20_000)
def read_gold(text: str) -> Gold:
    """A gold's value; raises UnreadableGold where math-verify cannot read it."""
    number = plain_number(text)
    parsed = parse(text)
    if number is None and not any(not isinstance(value, str) for value in parsed):
        raise UnreadableGold(f"math-verify cannot parse {text[:200]!r}")
    return Gold(text, number, parsed)


def compared(found: str, gold: Gold) -> Grade:
    """The grade of an answer that has been read out."""
    if len(found) > LONGEST_ANSWER:
        return Grade(0.0, found[:200], f"an answer of {len(found)} characters")
    text = normalised(found)
    if not text:
        return Grade(0.0, None, "no answer")
    shown = text[:200]
    if text == gold.text:
        return Grade(1.0, shown, "the same text")
    if BASED.fullmatch(gold.text):
        equal = text == gold.text.partition("_")[0]  # the base may go without saying
        return Grade(float(equal), shown, "the same digits" if equal else "other digits, or another base")
    number = plain_number(text)
    if number is not None and gold.number is not None:
        equal = number == gold.number
        return Grade(float(equal), shown, "the same number" if equal else "another number")
    parsed = parse(text)
    if not any(not isinstance(value, str) for value in parsed):
        return Grade(0.0, shown, "the answer does not parse")
    equal = verified(gold, parsed)
    return Grade(float(equal), shown, "equal by math-verify" if equal else "not equal by math-verify")


def last_expression(text: str, gold: Gold) -> Grade:
    """The grade of a completion without a mark: math-verify looks for its last expression."""
    from math_verify import parse as parse_text

    parsed = parse_text(text[-TAIL:].translate(SIGNS), parsing_timeout=None)
    if not parsed:
        return Grade(0.0, None, "no answer")
    equal = verified(gold, tuple(parsed))
    return Grade(float(equal), str(parsed[-1])[:200], "equal by math-verify" if equal else "not equal by math-verify")


def normalised(text: str) -> str:
    """Wrapping, units in words, end marks and Unicode signs removed; mixed numbers, powers of ten and repeating
    decimals as LaTeX that math-verify reads.
    """
    text = text.translate(SIGNS).strip()
    while True:
        before = text
        for opening, closing in (("$$", "$$"), ("$", "$"), ("\\(", "\\)"), ("\\[", "\\]"), ("**", "**")):
            if text.startswith(opening) and text.endswith(closing) and len(text) > len(opening) + len(closing):
                inner = text[len(opening) : -len(closing)]
                text = inner.strip() if opening not in inner else text
        text = re.sub(r"(?<!\\)[.,;:]+$", "", text).strip()
        if text == before:
            break
    if match := MIXED.fullmatch(text):
        return f"{match[1]}\\frac{{{match[2]}}}{{{match[3]}}}"
    if match := SCIENTIFIC.fullmatch(text):
        return f"{match[1]}\\times 10^{{{int(match[2])}}}"
    if match := REPEATING.fullmatch(text):
        sign, whole, once, again = match.groups()
        value = Fraction(int(whole + once + again) - int(whole + once or "0"), 10 ** len(once) * (10 ** len(again) - 1))
        return f"{sign}\\frac{{{value.numerator}}}{{{value.denominator}}}"
    if match := BASED.fullmatch(text):
        return f"{match[1]}_{{{match[2]}}}"
    if (match := UNITS.fullmatch(text)) and not NOT_UNITS & set(match[2].lower().replace(".", " ").split()):
        return match[1]
    return text


def plain_number(text: str) -> Fraction | None:
    """The exact value of digits with a sign, thousands' commas, a point or a dollar; None for anything else."""
    digits = text.replace("\\$", "").replace("$", "").replace("\\!", "").replace("{,}", ",").strip()
    if NUMBER.fullmatch(digits) and any(character.isdigit() for character in digits) and len(digits) < LONGEST_ANSWER:
        return Fraction(digits.replace(",", ""))
    return None


@lru_cache(maxsize=2_000)
def parse(text: str) -> tuple[Any, ...]:
    """math-verify's reading of one LaTeX expression: SymPy values, or only a text where it cannot be parsed."""
    from math_verify import LatexExtractionConfig
    from math_verify import parse as parse_text

    latex_only = [LatexExtractionConfig(boxed_match_priority=0)]  # plain expressions would find a 5 in any text
    return tuple(parse_text(f"\\boxed{{{text}}}", latex_only, parsing_timeout=None))


def verified(gold: Gold, parsed: tuple[Any, ...]) -> bool:
    """math-verify's comparison; an interval may be written as an inequality."""
    from math_verify import verify

    return bool(verify(list(gold.parsed), list(parsed), allow_set_relation_comp=True, timeout_seconds=None))
