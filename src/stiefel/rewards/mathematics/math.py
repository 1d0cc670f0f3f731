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

from ..extract import after_thinking, answer_line, last_boxes, without_placeholders
from ..grade import Grade, UnreadableGold
from .equal import SEPARATED, capitals, equal, parses, renamed, verified
from .hedges import answered_by_a_bound, once, one_of_two, undecided
from .labelled import labelled, side_by_side
from .latex import BASED, CURRENCY, LONGEST_ANSWER, cleaned, normalised, plain_number, stated, valued
from .measures import same_measure
from .parsed import parse
from .quantifiers import conditions, contradict
from .quantities import UNITS, Quantities, at_the_end, degrees, in_base, quantities, ranged
from .ratios import terms
from .signs import apart, folded, in_latex
from .textual import same_text, written
from .typed import as_meant
from .units import numeric, one_letter_unit
from .values import Values, one, same_values, values
from .words import same_time, same_words

TAIL = 2_000  # characters of a completion without any mark, in which its last expression is sought
DIGITS = r"(?:\d{1,3}(?:,\d{3})+|\d+)"
LAST_NUMBER = re.compile(rf"(?<![\w)])(?:[-+]?[{CURRENCY}]?{DIGITS}(?:\.\d+)?(?:/\d+)?(?:\s?\\?%)?|-?\.\d+)")
# "il y a18 pommes", but no name such as x6
IN_A_WORD = re.compile(rf"(?<=\b[A-Za-z]){DIGITS}(?=\s+[^\W\d_]{{3}})|(?<=[^\W\d_A-Z]{{2}}){DIGITS}(?=[\s.,!?]|$)")
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
OTHER_SCRIPT = re.compile(r"[^\W\d_\x00-\u03ff]{2}[^\n\\]*\d")
# what a completion ends in that was cut off in the middle of a sum
UNFINISHED = re.compile(
    r"(?:[\w)}\]$%][^\S\n]*(?:[-+/=×÷^<>≈→]|\\(?:times|cdot|div|approx|le|ge))|\s\*)[^\S\n]*(?:\*\*|\$|\\[(\[\])])?\s*$"
    r"|=[^\S\n]*(?:\?|…|\.\.\.)\s*$"  # a sum whose value is not there
    r"|\d[^\n]{0,40}\b(?:is|equals|equal to|times|plus|minus|divided by)\s*$"
    r"|\\?\([^()\[\]\n]{0,80}$|\{[^{}\n]{0,80}$"  # a bracket that is not closed
)
DEGREE, PERCENT = re.compile(r"\^\s*\{?\s*\\circ|°|\\degree"), re.compile(r"\d\s*\\?%")
ARC = re.compile(r"\d\s*(?:'|′|″|\"|\^\s*\{?\s*\\prime)")
BASE = re.compile(r"^\W{0,3}[0-9A-F]{1,40}_\{?\d{1,2}\}?\W{0,3}$")  # a number with its base
HEDGED = re.compile(r"\\text\{[^{}]*\b(?:or|not)\b\s+[^{}]*[a-z]{3}", re.IGNORECASE)
# two numbers where one is wanted: "5 (or 6)", "5 hours 30 minutes", "5 cm × 6 cm", of which math-verify reads the first
SECOND = re.compile(
    r"\\text\{[^{}]*\bor\b[^{}]*\d|\d\D*\\(?:text|mathrm)\{[^{}]*[a-z][^{}]*\}(?:\^\{?-?\d\}?)?[^\d^]*\d",
    re.IGNORECASE,
)
ALONE = re.compile(r"(?<![A-Za-z\\])[A-Z](?![A-Za-z])")  # a capital that is no part of a word
TO = re.compile(r"\s*(?:\\text\{\s*to\s*\}|\bto\b)\s*")
BRACKETED = re.compile(
    rf"(\b(?:is|be)|[=:])\s*\(([-+]?[{CURRENCY}]?{DIGITS}(?:\.\d+)?(?:/\d+)?)\)(?=[\s.*$]*$)"
)  # "is (42)"
# a gold of several values: signs, sets, inequalities, an equation that is no assignment
MANY = re.compile(
    r"\\(?:pm|mp|cup|cap|lor|vee|in|[lg]eq?|ne|mathbb)(?![a-z])|[<>|\[\]]|\\\{|^(?![A-Za-z](?:_\{?\w+\}?)?(?:\([^()]*\))?\s*=)[^=]*="
)
BY_CASES = re.compile(r"\\text\{[^{}]*\b(?:otherwise|else)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Gold:
    """A gold answer, read."""

    text: str
    told: str  # with its units
    number: Fraction | None
    values: Values | None  # where it is made of plain numbers
    quantities: Quantities | None
    conditions: frozenset[str]
    parsed: bool  # else it can only be compared as a text
    single: bool  # no list, no range, no bound


def grade_math(completion: str, answer: Any, truncated: bool = False) -> Grade:
    r"""1 if the completion's answer equals the gold as mathematics.

    The answer is, after any thinking: the last `\boxed{}` (with its neighbours in "\boxed{1} and \boxed{2}"); else
    what follows the last line's "Answer:"; else what follows `####`; else the last expression that math-verify finds.
    A completion that was cut off (truncated) has an answer only where one of these marks says so. One that is left
    open ("3 or maybe 4", "at least 3") is no answer, and units that both sides give have to agree.
    """
    return graded(completion, answer, read_marked, truncated)


def grade_gsm8k(completion: str, answer: Any, truncated: bool = False) -> Grade:
    """As `grade_math`, where the completion's answer may also stand after `####`, and is else its last number."""
    return graded(completion, answer, read_number, truncated)


def graded(completion: str, answer: Any, read: Callable[[str], str | None], truncated: bool) -> Grade:
    """The grade, with the gold read first: nothing else is done where that fails."""
    try:
        gold = read_gold(gold_text(answer))
    except UnreadableGold as error:
        return Grade(None, None, f"unreadable gold: {error}")
    text = folded(after_thinking(completion))
    if truncated and not has_mark(text):
        return Grade(0.0, None, "no answer: it was cut off before one")
    found = read(text)
    if gold.single and left_open(text, found, gold):
        return Grade(0.0, (found or text[-TAIL:])[:200], "no single answer")
    if found is None:
        return last_expression(text, gold)
    if sentence(found):
        return last_expression(found, gold)
    return compared(found, gold)


def left_open(text: str, found: str | None, gold: Gold) -> bool:
    """Whether the answer is one of two numbers, a range or a bound; of a sentence, only what it says is the answer."""
    if found is not None and has_mark(text):
        return undecided(DENIED.sub("not", found), ranges=gold.number is not None)
    return one_of_two(DENIED.sub("not", text[-TAIL:])) or answered_by_a_bound(text)


def sentence(found: str) -> bool:
    """Whether an answer's line goes on in words: "She makes $18 per day"."""
    if OTHER_SCRIPT.search(found):
        return True
    if labelled(found):
        return False
    words = re.findall(r"(?<![\\A-Za-z{])[A-Za-z']{2,}", normalised(found)[:LONGEST_ANSWER])
    if len(words) < 3 or "\\text" in found or not re.search(r"\d", found):
        return False
    return quantities(cleaned(found)) is None


def read_marked(text: str) -> str | None:
    """The boxed answer, or the answer's line, or what follows `####`."""
    for read in (last_boxes, answer_line, after_mark):
        found = read(text)
        if found is not None:
            return found
    return None


def has_mark(text: str) -> bool:
    """Whether a form of answer stands in it."""
    return read_marked(text) is not None


def after_mark(text: str) -> str | None:
    """What follows the last `####` on its line, unless that is a heading."""
    _, mark, after = text.rpartition(MARK)
    line, _, rest = after.strip().partition("\n")
    if not mark or not line or (HEADING.match(line) and (rest or not undecided(line))):
        return None
    return line


def read_number(text: str) -> str | None:
    """What follows `####`, the boxed answer, the answer's line, the last number: the first of these that is there."""
    for read in (after_mark, read_marked):
        found = read(text)
        if found is not None:
            return found
    if UNFINISHED.search(text):
        return ""
    several = at_the_end(text)
    return several.told if several is not None else last_number(text) or ""


def last_number(text: str) -> str | None:
    """A completion's last number, with the one before it in "7 or 8"; also one that a word's letters touch."""
    tail = DENIED.sub("not", apart(text[-TAIL:].replace("−", "-")))
    numbers = list(LAST_NUMBER.finditer(tail))
    if not numbers:
        return beside_letters(tail)
    also = ONE_OF_TWO.search(tail, max(0, numbers[-1].start() - 60), numbers[-1].start())
    return f"{also[0]} {numbers[-1][0]}" if also else numbers[-1][0]


def beside_letters(text: str) -> str | None:
    """The last number that letters touch, in a text without any other."""
    found = IN_A_WORD.findall(text[-TAIL:])
    return found[-1] if found else None


def gold_text(answer: Any) -> str:
    r"""A gold without its wrapping: the solution before `####`, `\boxed{}`, `$…$`."""
    if isinstance(answer, bool) or not isinstance(answer, (str, int, float)):
        raise UnreadableGold(f"{answer!r} is neither a text nor a number")
    text = str(answer)
    if text.strip().lower() in {"nan", "inf", "-inf"}:
        raise UnreadableGold(f"{text.strip()} is no number")
    text = text.rpartition(MARK)[2] if MARK in text else text
    boxed = last_boxes(text)
    if boxed is None and re.match(r"\s*\$*\s*\\boxed", text):
        raise UnreadableGold("its box is empty")
    text = folded(text if boxed is None else boxed).strip()
    if len(text) > LONGEST_ANSWER:
        raise UnreadableGold(f"it has {len(text)} characters")
    return text


@lru_cache(maxsize=20_000)
def read_gold(told: str) -> Gold:
    """A gold's value; raises UnreadableGold where it is neither mathematics nor a whole text."""
    with_units = cleaned(told)
    several = quantities(with_units)
    text = several.listed if several else valued(with_units)
    if not text:
        raise UnreadableGold("it is empty")
    plain = values(text)
    parsed = plain is not None or parses(text)
    if not parsed and not written(text):
        raise UnreadableGold(f"math-verify cannot parse {text[:200]!r}")
    one_value = not plain.kind if plain is not None else len(SEPARATED.split(text)) == 1 and not MANY.search(text)
    single = one_value and several is None and not undecided(with_units)
    return Gold(text, with_units, plain_number(text), plain, several, conditions(stated(told)), parsed, single)


def other_scale(found: str, gold: str) -> bool:
    """Whether one is in degrees and the other in percent or minutes of arc, or one in a base that the other lacks."""
    degrees, shares, minutes, bases = (
        tuple(bool(mark.search(text)) for text in (found, gold)) for mark in (DEGREE, PERCENT, ARC, BASE)
    )
    for other in (shares, minutes):
        apart = degrees[0] != degrees[1] and other[0] != other[1]
        if apart and ((degrees[0] and other[1]) or (degrees[1] and other[0])):
            return True
    return bases[0] and not bases[1]  # a base that the question sets may be left out, and none made up


def compared(found: str, gold: Gold) -> Grade:
    """The grade of an answer that has been read out."""
    if len(found) > LONGEST_ANSWER:
        return Grade(0.0, found[:200], f"an answer of {len(found)} characters")
    told = once(cleaned(found))
    if not told:
        return Grade(0.0, None, "no answer")
    if other_scale(found, gold.told):
        return Grade(0.0, told[:200], "another unit or base")
    if (same := same_measure(gold.told, told)) is not None and (same or numeric(gold.text)):  # 2mg may be letters
        return decided(same, told, "quantity")
    number = plain_number(told)
    if number is not None and gold.number is not None:
        return decided(number == gold.number, told, "number")
    told = as_meant(told, gold.told, gold.number is not None)
    if gold.conditions and contradict(gold.conditions, conditions(stated(found))):
        return Grade(0.0, told[:200], "it holds for something else")
    if same_text(told, gold.told) or same_words(gold.told, told):
        return Grade(1.0, told[:200], "the same text")
    if (same := same_time(gold.told, told)) is not None:
        return decided(same, told, "time")
    if (pairs := side_by_side(gold.told, told)) is not None:
        same = bool(pairs) and all(compared(value, read_gold(wanted)).score == 1.0 for wanted, value in pairs)
        return decided(same, told, "list of values")
    several = quantities(told)
    if (several and several.whole) or (gold.quantities and gold.quantities.whole):
        return compound(told, several, gold)
    if several and gold.number is not None:
        return Grade(0.0, told[:200], "no single answer")
    text = several.listed if several else valued(told)
    if terms(gold.text):
        text = TO.sub(":", text)
    shown = text[:200]
    if text == gold.text or same_words(gold.text, text):
        return Grade(1.0, shown, "the same text")
    if HEDGED.search(told) or (BY_CASES.search(told) and not BY_CASES.search(gold.told)):
        return Grade(0.0, shown, "no single answer")
    if gold.number is not None and not several and "=" not in text and (SECOND.search(told) or ranged(told)):
        return Grade(0.0, shown, "no single answer")
    if len({number for part in text.split("=") if (number := plain_number(part)) is not None}) > 1:
        return Grade(0.0, shown, "it says that two different numbers are equal")
    if BASED.fullmatch(gold.text):
        same = text == gold.text.partition("_")[0]  # the base may go without saying
        return Grade(float(same), shown, "the same digits" if same else "other digits, or another base")
    return by_value(text, gold)


def by_value(text: str, gold: Gold) -> Grade:
    """The grade of a normalised answer that is no text: exactly where both are plain numbers."""
    shown = text[:200]
    number = plain_number(text)
    if number is None and gold.number is not None and (digits := one_letter_unit(text)) is not None:
        number = plain_number(digits)
    if number is not None and gold.number is not None:
        return decided(number == gold.number, shown, "number")
    angles = degrees(gold.told), degrees(text)
    if angles != (None, None):
        both = [
            angle if angle is not None else as_degrees(side)
            for angle, side in zip(angles, (gold.text, text), strict=True)
        ]
        return decided(both[0] is not None and both[0] == both[1], shown, "angle")
    plain = values(text)
    if plain is not None and gold.values is not None:
        verdict = same_values(gold.values, plain)
        if verdict is not None:
            return Grade(float(verdict), shown, "the same numbers" if verdict else "other numbers")
    if not gold.parsed:
        return Grade(0.0, shown, "another text than a gold that is no mathematics to math-verify")
    if not parses(text):
        return Grade(0.0, shown, "the answer does not parse")
    same = equal(gold.text, text)
    return Grade(float(same), shown, "equal by math-verify" if same else "not equal by math-verify")


def decided(same: bool, shown: str, what: str) -> Grade:
    """The grade of an exact comparison."""
    return Grade(float(same), shown[:200], f"{'the same' if same else 'another'} {what}")


def compound(told: str, several: Quantities | None, gold: Gold) -> Grade:
    """The grade where one side is a quantity in several units: 2 hours and 30 minutes, 2.5, 150."""
    sides = [
        side.whole
        if side is not None and side.whole
        else (number,)
        if (number := plain_number(text)) is not None
        else ()
        for side, text in ((several, valued(told)), (gold.quantities, gold.text))
    ]
    for one_side, quantity in ((told, gold.quantities), (gold.told, several)):
        total = in_base(one_side)
        if total is not None and quantity is not None and quantity.whole:
            return decided(total == (UNITS[quantity.units[0].lower()][0], quantity.base), told, "quantity")
    if several and gold.quantities and several.units == gold.quantities.units:
        return decided(sides[0] == sides[1], told, "quantity")
    return decided(bool(set(sides[0]) & set(sides[1])), told, "quantity")


def as_degrees(text: str) -> Fraction | None:
    r"""The degrees of 30.25 and 30.25^\circ."""
    return one(re.sub(r"\s*\^\s*\{?\s*\\circ\s*\}?\s*$", "", text))


def last_expression(text: str, gold: Gold) -> Grade:
    """The grade of a completion without a mark: math-verify looks for its last expression."""
    from math_verify import parse as parse_text

    if UNFINISHED.search(text):
        return Grade(0.0, None, "no answer: it ends in the middle")
    several = at_the_end(text)
    if several is not None and not DENIED.search(text[-TAIL:]):
        return compared(several.told, gold)
    tail = apart(in_latex(DENIED.sub("not", without_placeholders(text[-TAIL:]))))
    tail = BRACKETED.sub(r"\1 \2", tail)
    tail = re.sub(r"\\\$(?=\d)|[`<>](?=/?\w)", " ", tail)
    names = capitals(gold.text)
    tail = ALONE.sub(lambda match: names.get(match[0], match[0]), tail)
    parsed = parse_text(tail, parsing_timeout=None)
    if not parsed and (number := beside_letters(text)) is not None:
        return compared(number, gold)
    if not parsed:
        return Grade(0.0, None, "no answer")
    number = last_number(text)
    if gold.number is not None and number is not None and re.search(r"\b(?:or|between)\b", number):
        return Grade(0.0, number[:200], "no single answer")
    same = verified(parse(renamed(gold.text, names)), tuple(parsed))
    return Grade(float(same), str(parsed[-1])[:200], "equal by math-verify" if same else "not equal by math-verify")
