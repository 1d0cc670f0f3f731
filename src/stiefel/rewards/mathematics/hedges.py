"""Whether a line leaves its last number open: one of two, the end of a range, or a bound."""

from __future__ import annotations

import re
from fractions import Fraction

from ..hedges import BUT, MAYBE, MAYBE_CJK, OR, OR_CJK
from .latex import plain_number
from .quantities import without_commands
from .units import NOT_UNITS

READ = 600  # characters of an answer's end
APART = 120  # between two numbers that are one answer
DIGITS = r"(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?|\.\d+"
NUMBER = re.compile(
    rf"-?\\[dt]?frac\s*\{{\s*\d+\s*\}}\s*\{{\s*\d+\s*\}}|-?\\[dt]?frac\s*\d\s*\d|(?<![A-Za-z0-9_.])-?(?:{DIGITS})(?:/\d+)?(?:\s?\\?%)?"
)
MARKS = re.compile(r"\\[A-Za-z]+|\\.|[{}$*_`()\[\]\"“”?]")
UNIT = r"(?:[^\W\d_]+[.]?\s+){0,3}?"
GUESS = rf"(?:(?:(?:{MAYBE})\b|{MAYBE_CJK})[\s,:]*)"
ALSO = rf"(?:(?:{OR})\b|{OR_CJK})[\s,:]*"
NEARLY = r"about|approximately|around|roughly"
ABOUT = rf"(?:(?:{NEARLY}|as\s+many\s+as|as\s+much\s+as|just|only|even|it\s+is|it['’]s)\s+)*"
NAMED = r"(?:[A-Za-z]\s*=\s*)?"
# between two numbers: "3 apples or 4", "3, maybe 4", "3 or else 4", "3 apples / 4 apples"
EITHER = re.compile(rf"[\s,;.:/–—-]*{UNIT}[\s,;.:–—-]*{ALSO}{ABOUT}{NAMED}", re.IGNORECASE)
GUESSED = re.compile(
    rf"[\s,;.:/–—-]*{UNIT}[\s,;.:–—-]*(?:(?:{ALSO}|(?:{BUT})\b[\s,]*))?{GUESS}+{ABOUT}{NAMED}", re.IGNORECASE
)
# the same further apart, where a line is all of the answer: "3, I am not sure, maybe 4"
AFTER_ALL = re.compile(
    rf"(?:\s*or\s+so\b)?(?:(?!\b(?:so|thus|then|hence|therefore|since)\b)[^.!?=\d]){{1,60}}?(?<!\w){GUESS}+{ABOUT}{NAMED}",
    re.IGNORECASE,
)
SLASHED = re.compile(r"\s+[^\W\d_]{3,}\s*/\s*")
UP_TO = re.compile(rf"\s*{UNIT}\s*(?:to|through|until|bis|hasta|até|до)\s+|\s*[^\W\d_]{{2,}}\s*[-–—]\s*", re.IGNORECASE)
DASH = re.compile(r"\s*[-–—]\s*")
AGAIN = re.compile(
    rf"({NUMBER.pattern})\s*[(,]?\s*(?:or|i\.e\.|that\s+is|equivalently|also)[\s,]*(?:equivalently|simply|just|also)?\s*"
    rf"({NUMBER.pattern})\s*\)?",
    re.IGNORECASE,
)
BETWEEN = re.compile(r"\b(?:between|(?:one|either)\s+of|zwischen|entre|tra|fra|между)\s*$", re.IGNORECASE)
AND = re.compile(rf"\s*{UNIT}\s*(?:and|und|et|y|e|и)\s+", re.IGNORECASE)
BOUND = re.compile(
    r"(?:\bat\s+(?:least|most|minimum|maximum)|\b(?:no|not)?\s*(?:more|less|fewer|greater|larger|smaller|higher|lower)\s+"
    r"than(?:\s+or\s+equal\s+to)?|\bup\s+to|\b(?:a\s+)?(?:minimum|maximum)\s+of|(?<![\w\d}])(?:above|below|exceeds|exceeding)|"
    r"(?:^|\b(?:is|be|are|equals|answer|just|well|slightly|a\s+little|a\s+bit):?\s+)(?:over|under)|"
    r"\b(?:mindestens|höchstens|wenigstens|au\s+moins|au\s+plus|plus\s+de|moins\s+de|al\s+menos|a\s+lo\s+sumo|más\s+de|"
    r"menos\s+de|pelo\s+menos|no\s+máximo|mais\s+de|almeno|al\s+massimo|più\s+di|meno\s+di|не\s+менее|не\s+более)|"
    r"至少|至多|最多|最少|不少于|不超过|超过|少なくとも|多くとも|최소|최대)[\s:]*$",
    re.IGNORECASE,
)
ABOVE = re.compile(r"\W{0,3}?(?:[<>]=?|[≤≥]|\\[lg]e(?:q|qslant)?(?![a-z]))\s*-?\d")
BEYOND = re.compile(
    r"\s*(?:[^\W\d_]+\s+)?(?:(?:or|and)\s+(?:more|less|fewer|above|below|over|under|higher|lower|up|greater|larger|smaller)(?!\s+(?:precisely|exactly|accurately))"
    r"|at\s+(?:least|most|minimum|maximum)|oder\s+mehr|ou\s+plus|o\s+más|ou\s+mais|o\s+più"
    r"|is\s+(?:not\s+(?:right|correct|it)|wrong|incorrect|false))\b",
    re.IGNORECASE,
)


def undecided(text: str, ranges: bool = True) -> bool:
    """Whether the last number of an answer's line is one of two, a bound, or the end of a range.

    ranges: whether "3 to 2" is a range, and no ratio.
    """
    line = without_commands(text[-READ:])
    numbers = list(NUMBER.finditer(line))
    if not numbers:
        return False
    last = numbers[-1]
    if bounded(line, last) or one_of_two(line):
        return True
    if len(numbers) < 2 or last.start() - numbers[-2].end() > APART or value(numbers[-2][0]) == value(last[0]):
        return False
    between = bare(line[numbers[-2].end() : last.start()])
    spoken = bare(line[: numbers[-2].start()])
    if AFTER_ALL.fullmatch(between):
        return True
    if not ranges:
        return False
    if UP_TO.fullmatch(between):
        return True
    unit = re.match(r"\s+([^\W\d_]{3,})", line[last.end() :])
    if DASH.fullmatch(between) and unit and unit[1].lower() not in NOT_UNITS and not re.search(r"[=^\\]", line):
        return True  # 3-7 days
    return bool(AND.fullmatch(between) and BETWEEN.search(spoken))


def one_of_two(text: str) -> bool:
    """Whether the last number of a text is a second one beside another: "3 apples or maybe 4 apples"."""
    line = without_commands(text[-READ:])
    numbers = list(NUMBER.finditer(line))[-2:]
    if len(numbers) < 2 or value(numbers[0][0]) == value(numbers[1][0]):
        return False
    between = line[numbers[0].end() : numbers[1].start()]
    if len(between) > APART:
        return False
    if re.search(rf"\b(?:{NEARLY})\b", between) and near(*(value(number[0]) for number in numbers)):
        return False
    if EITHER.fullmatch(between.replace("(", "").replace("*", "").replace("$", "")):
        return True
    if SLASHED.fullmatch(between) and re.match(r"\s+[^\W\d_]{3}", line[numbers[1].end() :]):
        return True
    return GUESSED.fullmatch(bare(between)) is not None


def once(text: str) -> str:
    """An answer that is said twice, once: "3 (or 3.0)" is 3, "50% or 0.5" is 50%; all other text as it is."""
    match = AGAIN.fullmatch(without_commands(text)) if "\\" in text or "or" in text or "i.e." in text else None
    return match[1] if match and value(match[1]) == value(match[2]) else text


def answered_by_a_bound(text: str) -> bool:
    """Whether the sentence that a text ends in says that the answer is a bound."""
    line = without_commands(text[-READ:])
    numbers = list(NUMBER.finditer(line))
    said = list(re.finditer(r"\b(?:answer|result|total|it)\s+(?:is|would\s+be|must\s+be)\s+", line, re.IGNORECASE))
    if not numbers or not said or said[-1].end() > numbers[-1].start():
        return False
    rest = line[said[-1].end() :]
    return ABOVE.match(rest) is not None or bounded(rest, NUMBER.search(rest))


def bounded(line: str, number: re.Match[str] | None) -> bool:
    """Whether a number of the line is a bound: "at least 3", "3 or more"."""
    if number is None:
        return False
    before, after = bare(line[: number.start()]), bare(line[number.end() :])
    return bool(BOUND.search(before) or BEYOND.match(after))


def bare(text: str) -> str:
    """A text without its marks."""
    return MARKS.sub(" ", text)


def value(text: str) -> Fraction | str:
    """What a number is, whichever way it is written."""
    digits = re.sub(r"\\[dt]?frac\s*", "", text).replace("}{", "/").strip("{} ")
    if match := re.fullmatch(r"(-?)(\d)\s*(\d)", digits) if "frac" in text else None:
        digits = f"{match[1]}{match[2]}/{match[3]}"
    share = digits.endswith("%")
    top, slash, bottom = digits.rstrip("\\% ").partition("/")
    first, second = plain_number(top), plain_number(bottom) if slash else Fraction(1)
    if first is None or not second:
        return text
    return first / second / (100 if share else 1)


def near(first: Fraction | str, second: Fraction | str) -> bool:
    """Whether one number may be the other, rounded."""
    if isinstance(first, str) or isinstance(second, str):
        return False
    return abs(first - second) <= Fraction(1, 50) * max(abs(first), abs(second))
