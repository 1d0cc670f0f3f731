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
POWER = re.compile(
    r"([-+]?)(?:(\d{1,99}(?:\.\d{1,99})?)\s*(?:\\times|\\cdot|\*)\s*)?10\s*\^\s*(?:\{\s*([-+]?\d{1,3})\s*\}|(\d))"
)
SEPARATOR = re.compile(r"\s*(?:,\s*)?(?:\\text\s*\{\s*(?:and|or)\s*\}|\b(?:and|or)\b)\s*|\s*[,;]\s*")
ENCLOSED = re.compile(r"(?:\\left)?\s*(\\\{|[(\[])(.*?)(?:\\right)?\s*(\\\}|[)\]])", re.DOTALL)
NEAR = Fraction(1, 1_000)  # relative; closer than this, rounding may make two values equal
# math-verify rounds to six decimals, to which the charge of the electron is that of the neutron
SMALL, SMALL_NEAR = Fraction(1, 1_000), Fraction(1, 100_000)  # below this, equality is relative


@dataclass(frozen=True)
class Values:
    """Numbers and how they stand: "" for one, "{}" for a list or set, "(]" and its like for an interval or a tuple, ":"
    for the ratio of three or more, its first number 1.
    """

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
    parts = [one(part) for part in text.split(":")]
    ratio = [part for part in parts if part is not None]
    if len(ratio) == len(parts) > 2 and ratio[0]:
        return Values(":", tuple(part / ratio[0] for part in ratio))
    found = several(text)
    return None if found is None else Values("{}", in_order(found))


def one(text: str) -> Fraction | None:
    """An integer, a decimal number, a fraction of integers or a number times a power of ten."""
    if match := FRACTION.fullmatch(text.strip()):
        sign, top, bottom = (match[4], match[5], match[6]) if match[5] else (match[1], match[2], match[3])
        return Fraction(int(top), int(bottom)) * (-1 if sign == "-" else 1) if int(bottom) else None
    if match := POWER.fullmatch(text.strip()):
        return Fraction(match[1] + (match[2] or "1")) * Fraction(10) ** int(match[3] or match[4])
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
    if gold.kind != answer.kind and ":" in (gold.kind, answer.kind):
        return False
    if gold.kind != answer.kind:
        intervals = all(len(side.numbers) == 2 and side.kind in {"()", "[]", "(]", "[)"} for side in (gold, answer))
        return False if intervals else None
    if len(gold.numbers) != len(answer.numbers):
        return False
    if gold.numbers == answer.numbers:
        return True
    if ":" in gold.kind or any(not near(a, b) for a, b in zip(gold.numbers, answer.numbers, strict=True)):
        return False
    small = all(a == b or abs(a) < SMALL for a, b in zip(gold.numbers, answer.numbers, strict=True))
    return True if small else None


def near(a: Fraction, b: Fraction) -> bool:
    """Whether rounding may make two numbers equal."""
    size = max(abs(a), abs(b))
    return abs(a - b) <= (NEAR if size >= SMALL else SMALL_NEAR) * size
