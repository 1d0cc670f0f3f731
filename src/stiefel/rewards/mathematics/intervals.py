r"""Inequalities of one letter as sets: 5>x>3, x>3 \text{ and } x<5, |x|<1 and (3,5)."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from .identity import NO_ANSWER
from .parsed import parse

EITHER = re.compile(r"\\text\{\s*or\s*\}|\bor\b|\\lor(?![a-z])|\\vee(?![a-z])|\\cup(?![a-z])")
BOTH = re.compile(r"\\text\{\s*,?\s*and\s*\}|\band\b|\\land(?![a-z])|\\wedge(?![a-z])|\\cap(?![a-z])|\\&|&")
INEQUALITY = re.compile(r"[<>]|\\(?:[lg]eq?|[lg]eqslant|neq?|lt|gt)(?![a-z])")
MEMBER = re.compile(r"([A-Za-z])\s*\\in(?![a-z])\s*(.+)", re.DOTALL)
SPELT = (
    (re.compile(r"\\[lg]eqslant(?![a-z])"), lambda match: match[0][:3]),
    (re.compile(r"\\lt(?![a-z])"), lambda _: "<"),
)


@lru_cache(maxsize=2_000)
def solutions(text: str) -> tuple[str, Any] | None:
    """The letter and the set of its values that fulfil inequalities; None for anything else."""
    if not INEQUALITY.search(text):
        return None
    parts = EITHER.split(text)
    found = [solved(part) for part in parts] if len(parts) > 1 else [solved(text)]
    sets = [each for each in found if each is not None]
    if len(sets) < len(found) or len({letter for letter, _ in sets}) != 1:
        return None
    from sympy import Union

    return sets[0][0], Union(*(values for _, values in sets)) if len(sets) > 1 else sets[0][1]


def solved(text: str) -> tuple[str, Any] | None:
    """The set of inequalities that all hold, or that a comma lists."""
    from sympy import EmptySet, Intersection, Union

    listed = [part for part in BOTH.split(text) if part.strip(" ,")]
    parts = [part.strip() for each in listed for part in each.split(",") if part.strip()]
    found = [relation(part) for part in parts]
    sets = [each for each in found if each is not None]
    if not sets or len(sets) < len(parts) or len({letter for letter, _ in sets}) != 1:
        return None
    both = Intersection(*(values for _, values in sets))
    if len(parts) > len(listed) and both is EmptySet:
        both = Union(*(values for _, values in sets))  # "x<2, x>3" can only mean either
    return sets[0][0], both


def relation(text: str) -> tuple[str, Any] | None:
    """The set of one inequality, or of a chain of them."""
    from sympy import And, Ne, S, Set, oo
    from sympy.core.relational import Relational

    value = next((value for value in parse(text) if isinstance(value, (Relational, And))), None)
    if value is None or len(value.free_symbols) != 1:
        return None
    letter = next(iter(value.free_symbols))
    if value.has(oo, -oo, S.ImaginaryUnit) or any(
        not part.free_symbols and not part.is_number for part in value.atoms()
    ):
        value = without_infinite(value)
        if value is None:
            return None
    try:
        values = value.as_set() if not isinstance(value, Ne) else S.Reals - value.negated.as_set()
    except NO_ANSWER:
        return None
    return (letter.name, values) if isinstance(values, Set) else None


def without_infinite(value: Any) -> Any:
    """A chain without its bounds at infinity."""
    from sympy import And, S, oo

    if not isinstance(value, And):
        return None
    kept = [part for part in value.args if not part.has(oo, -oo)]
    return And(*kept) if kept and not value.has(S.ImaginaryUnit) else None


def same_set(first: Any, second: Any, decided: Any) -> bool | None:
    """Whether two sets of numbers are equal; None where that cannot be said."""
    from sympy import Interval, Union

    if first == second:
        return True
    pieces = [list(side.args) if isinstance(side, Union) else [side] for side in (first, second)]
    if len(pieces[0]) != len(pieces[1]) or not all(isinstance(piece, Interval) for side in pieces for piece in side):
        return None
    ordered = [sorted(side, key=lambda piece: float(piece.start)) for side in pieces]
    verdicts = [True if a == b else decided(a, b) for a, b in zip(*ordered, strict=True)]
    if False in verdicts:
        return False
    return None if None in verdicts else True
