r"""Units that both answers give: 5 km is 5000 m, is no 5 m and no 5 kg; a word that is no known unit says nothing."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from functools import cache

from .measure_table import PREFIXED, PREFIXES, SYMBOLS, WORDS
from .parsed import braced
from .units import FACE, numeric
from .values import one

FLAT = re.compile(rf"{FACE}\s*\{{([^{{}}]*)\}}|\\[,;:! ]|~|\\q?quad(?![a-z])")
POWER = re.compile(r"\^\s*\{\s*(-?\d)\s*\}")
NAME = r"(?:[A-Za-zμµΩ]+|\\mu\s*[A-Za-z]+|[kM]?\\Omega)"
UNIT = rf"(?:(?:square|sq\.?|cubic)\s+)?{NAME}\.?(?:\s*\^\s*-?\d|(?<=m)[23])?(?:\s+(?:squared|cubed))?"
MEASURED = re.compile(
    rf"(?P<value>.*[\d}}%)]|.*\\pi)\s*(?P<units>{UNIT}(?:(?:\s*(?:/|\\cdot|\*|·)\s*|\s+per\s+|\s+){UNIT})*)"
)
TOKEN = re.compile(rf"(?P<over>\s*/\s*|\s*per\s+)|(?P<and>\s*(?:\\cdot|\*|·)\s*|\s+)|(?P<unit>{UNIT})")
ONE = re.compile(
    r"(?:(?P<shape>square|sq\.?|cubic)\s+)?(?P<name>\\mu\s*[A-Za-z]+|[kM]?\\Omega|[A-Za-zμµΩ]+?)\.?"
    r"(?:\s*\^\s*(?P<power>-?\d)|(?P<tight>[23]))?(?:\s+(?P<after>squared|cubed))?"
)
NAMED = re.compile(r"^\s*(?:[A-Za-z](?:_\{?\w+\}?)?\s*=\s*)?(?:\\?\$)?")
SHAPES = {"square": 2, "sq": 2, "cubic": 3, "squared": 2, "cubed": 3}
DOLLARS = re.compile(r"\\?\$\s*([\d.,]+)")


@dataclass(frozen=True)
class Measure:
    """A value before its unit, the unit's size, and the powers of what it measures."""

    value: str
    size: Fraction
    of: tuple[tuple[str, int], ...]
    unit: str

    @property
    def numerator(self) -> tuple[tuple[str, int], ...]:
        """What it measures, without what it is "per"."""
        return tuple(pair for pair in self.of if pair[1] > 0)


def same_measure(gold: str, answer: str) -> bool | None:
    """Whether two answers with units are equal; None where one has no known unit, or the units are the same.

    What one says "per" and the other does not, is left open: 18 dollars a day and 18 dollars.
    """
    first, second = measure(gold), measure(answer)
    if first is None or second is None:
        return None
    first, second = as_minutes(first, second), as_minutes(second, first)
    if first.of != second.of:
        return None if first.numerator == second.numerator else False
    values = one(braced(first.value)), one(braced(second.value))
    if first.size == second.size:
        return True if values[0] is not None and values[0] == values[1] else None
    return values[0] is not None and values[1] is not None and values[0] * first.size == values[1] * second.size


def as_minutes(measured: Measure, other: Measure) -> Measure:
    """5 m beside a time: minutes, and no metres."""
    if measured.unit == "m" and other.of == (("time", 1),):
        return Measure(measured.value, Fraction(60), other.of, "min")
    return measured


def measure(text: str) -> Measure | None:
    """A value with units that are all known; None for anything else."""
    text = " ".join(FLAT.sub(lambda match: f" {match[1] or ''} ", POWER.sub(r"^\1", text)).split())
    if match := DOLLARS.fullmatch(text):
        return Measure(match[1], Fraction(1), (("dollars", 1),), "$")
    match = MEASURED.fullmatch(text)
    if match is None or not numeric(match["value"]):
        return None
    size, powers, sign, place = Fraction(1), dict[str, int](), 1, 0
    while place < len(match["units"]):
        token = TOKEN.match(match["units"], place)
        if token is None:
            return None
        place = token.end()
        if token["over"]:
            sign = -1
        elif token["unit"]:
            known = read(token["unit"])
            if known is None:
                return None
            size *= known[0] ** sign
            for name, power in known[1]:
                powers[name] = powers.get(name, 0) + sign * power
    value = NAMED.sub("", match["value"]).strip()
    return Measure(value, size, tuple(sorted(pair for pair in powers.items() if pair[1])), match["units"].strip())


def read(unit: str) -> tuple[Fraction, tuple[tuple[str, int], ...]] | None:
    """The size of one unit with its power, and what it measures."""
    match = ONE.fullmatch(unit.strip())
    known = size_of(match["name"].replace("\\mu", "μ").replace("µ", "μ").replace(" ", "")) if match else None
    if match is None or known is None:
        return None
    power = int(match["power"] or match["tight"] or 1)
    power *= SHAPES.get((match["shape"] or match["after"] or "").strip("."), 1)
    return known[0] ** power, tuple((name, each * power) for name, each in known[1].items())


@cache
def size_of(name: str) -> tuple[Fraction, dict[str, int]] | None:
    """The size of a unit by its word, its symbol, or its symbol behind a prefix."""
    name = name.replace("\\Omega", "Ω")
    if name in SYMBOLS:
        return SYMBOLS[name]
    if name.lower() in WORDS:
        return WORDS[name.lower()]
    prefix, symbol = name[:1], name[1:]
    if prefix in PREFIXES and symbol in PREFIXED:
        size, of = SYMBOLS[symbol]
        return size * PREFIXES[prefix], of
    return None
