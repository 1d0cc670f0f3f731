r"""Several quantities in words: 18 chickens and 12 rabbits, 2 hours and 30 minutes, from 3 to 7 days."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

from .units import FACE, NOT_UNITS, NOT_UNITS_OF

NUMBER = r"[-+]?\s*\\?[$€£¥₹]?\s*(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?(?:/\d+)?"
VALUE = rf"(?:{NUMBER}|[-+]?\d*\\[dt]?frac\s*\{{\d+\}}\s*\{{\d+\}}|[-+]?\d*\\sqrt\s*\{{\d+\}})(?:\\?%)?"
WORD = r"[^\W\d_][^\W\d_'’.-]*"
WORDS = rf"{WORD}(?:[ ]{WORD}){{0,3}}"
PIECE = re.compile(rf"({VALUE})\s*({WORDS})?\s*")
JOINED = re.compile(r"\s*(?:,\s*and\b|,\s*or\b|,|;|&|\band\b|\bor\b|\bplus\b|и|和|y\b|et\b|und\b)\s*", re.IGNORECASE)
INTRODUCED = re.compile(r"^(?:[A-Za-z']+\s+){1,5}(?=[-+$\\\d])")
RANGE = re.compile(
    rf"\b(?:from|between)\b[^\d]{{0,12}}{NUMBER}|{NUMBER}\s*(?:{WORD}\s*)?\bto\b\s*{NUMBER}|{NUMBER}\s*[^\W\d_]{{2,}}\s*-\s*{NUMBER}"
    r"|\b(?:at\s+least|at\s+most|more\s+than|less\s+than|fewer\s+than|up\s+to|greater\s+than|no\s+more\s+than)\b",
    re.IGNORECASE,
)
FLAT = re.compile(rf"{FACE}\s*\{{([^{{}}]*)\}}|\\[,;:! ]|\\q?quad(?![a-z])")
SIZES = {
    "time": {"s sec secs second seconds": 1, "m min mins minute minutes": 60, "h hr hrs hour hours": 3600}
    | {"d day days": 86_400, "week weeks": 604_800},
    "years": {"month months": 1, "year years yr yrs": 12},
    "feet": {"in inch inches": 1, "ft foot feet": 12, "yd yard yards": 36, "mile miles": 63_360},
    "metres": {"mm millimeters": 1, "cm centimeter centimeters centimetres": 10, "m meter meters metre metres": 1000}
    | {"km kilometer kilometers kilometres": 1_000_000},
    "pounds": {"oz ounce ounces": 1, "lb lbs pound pounds": 16},
    "grams": {"g gram grams": 1, "kg kilogram kilograms": 1000},
    "money": {"cent cents": 1, "dollar dollars": 100},
    "litres": {"ml milliliters": 1, "l liter liters litre litres": 1000},
    "gallons": {"pint pints": 1, "quart quarts": 2, "gallon gallons": 8},
}
UNITS = {
    word: (kind, size)
    for kind, sizes in reversed(SIZES.items())
    for words, size in sizes.items()
    for word in words.split()
}
METRE = ("metres", 1000)
DEGREES = re.compile(
    r"([-+]?\d+(?:\.\d+)?)\s*\^\s*\{?\s*\\circ\s*\}?\s*(\d+(?:\.\d+)?)\s*(?:'(?!')|\^\s*\{?\\prime\}?)"
    r"(?:\s*(\d+(?:\.\d+)?)\s*(?:''|\"|\^\s*\{?\\prime\s*\\prime\}?))?"
)


@dataclass(frozen=True)
class Quantities:
    """Values with their units, as they stand; `whole`: in each unit used, where together they are one quantity."""

    values: tuple[str, ...]
    units: tuple[str, ...]
    whole: tuple[Fraction, ...] = ()
    joins: tuple[str, ...] = ()

    @property
    def listed(self) -> str:
        """The values as a list."""
        return ", ".join(self.values)

    @property
    def base(self) -> Fraction:
        """The whole in the smallest unit of what it measures."""
        return self.whole[0] * UNITS[self.units[0].lower()][1]

    @property
    def told(self) -> str:
        """The values with their units, as a list."""
        return ", ".join(f"{value} {unit}".strip() for value, unit in zip(self.values, self.units, strict=True))


def in_base(text: str) -> tuple[str, Fraction] | None:
    """What a single quantity measures, and its size in the smallest unit of that; None where its unit is not known."""
    piece = PIECE.fullmatch(without_commands(text))
    size = UNITS.get((piece[2] or "").lower()) if piece is not None else None
    if piece is None or size is None:
        return None
    try:
        return size[0], Fraction(piece[1].replace(",", "").replace(" ", "").lstrip("$")) * size[1]
    except ValueError:
        return None


def without_commands(text: str) -> str:
    """A text with the words of its commands among the rest."""
    return " ".join(FLAT.sub(lambda match: f" {match[1] or ''} ", text).split())


def quantities(text: str) -> Quantities | None:
    """Two quantities or more, one of them with a unit; None for anything else."""
    if re.search(r"[=<>(\[|]", text) or not re.search(r"\d", text):
        return None
    text = INTRODUCED.sub("", without_commands(text))
    values, units, joins, place = [], [], [], 0
    while place < len(text):
        piece = PIECE.match(text, place)
        if piece is None:
            return None
        unit, end = own_words(piece[2] or "", piece.start(2), piece.end())
        values.append("".join(piece[1].split()).lstrip("$"))
        units.append(unit)
        joined = JOINED.match(text, end)
        if joined is None and end < len(text) and (not unit or text[end] in "+-"):
            return None
        joins.append(joined[0].strip(" ,").lower() if joined is not None else "")
        place = joined.end() if joined is not None else end
    if len(values) < 2 or not any(units) or any(forbidden(unit) for unit in units):
        return None
    whole = () if "or" in joins else together(values, units)
    if not whole and any(len(unit) == 1 and unit.isascii() for unit in units):
        return None  # letters are variables
    return Quantities(tuple(values), tuple(units), whole, tuple(joins))


def own_words(words: str, start: int, end: int) -> tuple[str, int]:
    """A quantity's words up to the one that joins it to the next, and where they end."""
    joined = re.search(r"(?:^|\s)(?:and|or|plus|y|et|und)$|(?:^|\s)(?:and|or|plus)\s", words, re.IGNORECASE)
    return (words[: joined.start()].strip(), start + joined.start()) if joined else (words.strip(), end)


def forbidden(unit: str) -> bool:
    """Whether words change the number that they stand at."""
    return bool(NOT_UNITS & set(unit.lower().split())) or bool(NOT_UNITS_OF.search(unit))


def together(values: list[str], units: list[str]) -> tuple[Fraction, ...]:
    """2 hours and 30 minutes in hours, and in minutes; nothing where the units do not belong together."""
    known = [UNITS.get(unit.lower().rstrip(".")) for unit in units]
    if known[0] == METRE or any(size == METRE for size in known):
        kinds = {size[0] for size in known if size}
        known = [UNITS["m"] if size == METRE and "time" in kinds else size for size in known]
    sizes = [size for size in known if size is not None]
    if len(sizes) < len(known) or len({kind for kind, _ in sizes}) > 1:
        return ()
    scales = [scale for _, scale in sizes]
    if scales != sorted(set(scales), reverse=True):
        return ()
    try:
        parts = [Fraction(value.replace(",", "")) * scale for value, scale in zip(values, scales, strict=True)]
    except ValueError:
        return ()
    return tuple(sum(parts, Fraction(0)) / scale for scale in scales)


def degrees(text: str) -> Fraction | None:
    r"""The degrees of 30^\circ 15'; None for anything else."""
    match = DEGREES.fullmatch(text.strip())
    if match is None:
        return None
    sign = -1 if match[1].startswith("-") else 1
    return sign * (abs(Fraction(match[1])) + Fraction(match[2]) / 60 + Fraction(match[3] or 0) / 3600)


def ranged(text: str) -> bool:
    """Whether it says from which to which number, and no number."""
    return RANGE.search(without_commands(text)) is not None


TOTAL = re.compile(r"\b(?:total|all|altogether|sum|combined|together)\b", re.IGNORECASE)
LAST_SENTENCE = re.compile(r"[^.!?\n]*(?:[.!?](?=\d)[^.!?\n]*)*[.!?]?\s*$")


def at_the_end(text: str) -> Quantities | None:
    """The quantities that a text's last sentence ends in, or that are all it has: "…, so 18 hens and 12 rabbits."."""
    sentence = LAST_SENTENCE.search(text[-400:])
    if sentence is None:
        return None
    words = without_commands(sentence[0].replace("$", "").replace("**", "")).strip(" .!?")
    starts = [match.start() for match in re.finditer(rf"(?<![\w.,/]){NUMBER}", words)]
    for start in starts[:-1]:
        found = quantities(words[start:])
        if found is not None and (found.whole or found.joins[-2]) and not TOTAL.search(found.units[-1]):
            return found
    return None
