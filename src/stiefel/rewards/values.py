r"""Answers made of plain numbers, compared exactly and at once: 3/4, "69, 84", (3, -2), [0, 1), x = 5.

What is written otherwise, or is nearly equal, is left to `math-verify`, which takes a thousand times as long.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

from .latex import plain_number

NAME = re.compile(r"([A-Za-z](?:_\{?\w\}?)?)\s*=\s*([^=]+)")
FRACTION = re.compile(
    r"([-+]?)\s*\\[dt]?frac\s*\{\s*(-?\d{1,99})\s*\}\s*\{\s*(-?\d{1,99})\s*\}|([-+]?)(\d{1,99})\s*/\s*(\d{1,99})"
)
SEPARATOR = re.compile(r"\s*(?:,\s*)?(?:\\text\s*\{\s*(?:and|or)\s*\}|\b(?:and|or)\b)\s*|\s*[,;]\s*")
ENCLOSED = re.compile(r"(?:\\left)?\s*(\\\{|[(\[])(.*?)(?:\\right)?\s*(\\\}|[)\]])", re.DOTALL)
NEAR = Fraction(1, 1_000)  # relative; closer than this, rounding may make two values equal


@dataclass(frozen=True)
class Values:
    """Numbers and how they stand: "" for one, "{}" for a list or set, "(]" and its like for an interval or a tuple."""

    kind: str
    numbers: tuple[Fraction, ...]
    name: str = ""


def values(text: str) -> Values | None:
    """The numbers of a normalised answer; None where it is not made of plain numbers alone."""
    if match := NAME.fullmatch(text):
        number = one(match[2])
        return None if number is None else Values("", (number,), match[1])
    number = one(text)
    if number is not None:
        return Values("", (number,))
    if match := ENCLOSED.fullmatch(text):
        found = several(match[2])
        kind = (match[1] + match[3]).replace("\\", "")
        if found is None or ("{" in kind) != ("}" in kind):
            return None
        return Values(kind, in_order(found) if kind == "{}" else found)
    found = several(text)
    return None if found is None else Values("{}", in_order(found))


def one(text: str) -> Fraction | None:
    """An integer, a decimal number or a fraction of integers."""
    if match := FRACTION.fullmatch(text.strip()):
        sign, top, bottom = (match[4], match[5], match[6]) if match[5] else (match[1], match[2], match[3])
        return Fraction(int(top), int(bottom)) * (-1 if sign == "-" else 1) if int(bottom) else None
    return plain_number(text)


def several(text: str) -> tuple[Fraction, ...] | None:
    """Two numbers or more; None where one of them is something else."""
    found = [one(part) for part in SEPARATOR.split(text)]
    numbers = tuple(number for number in found if number is not None)
    return numbers if len(numbers) == len(found) > 1 else None


def in_order(numbers: tuple[Fraction, ...]) -> tuple[Fraction, ...]:
    """The elements of a set, ascending."""
    return tuple(sorted(set(numbers)))


def same_values(gold: Values, answer: Values) -> bool | None:
    """Whether they are equal; None where that is not for exact numbers to say."""
    if gold.name and answer.name and gold.name != answer.name:
        return False
    if gold.kind != answer.kind:
        intervals = all(len(side.numbers) == 2 and side.kind in {"()", "[]", "(]", "[)"} for side in (gold, answer))
        return False if intervals else None
    if len(gold.numbers) != len(answer.numbers):
        return False
    if gold.numbers == answer.numbers:
        return True
    pairs = zip(gold.numbers, answer.numbers, strict=True)
    return False if any(abs(a - b) > NEAR * max(abs(a), abs(b)) for a, b in pairs) else None
