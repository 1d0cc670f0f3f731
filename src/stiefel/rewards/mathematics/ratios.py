r"""Ratios, compared term by term up to scale: 1:2:\sqrt3 is 2:4:2\sqrt3, and is not 1:\sqrt3:2."""

from __future__ import annotations

import re
from typing import Any

from .plain_text import split

DOTS = re.compile(r"\\[lcd]?dots(?![a-z])|\.\.\.|…")
COLON = re.compile(r"\\colon(?![a-z])\s*")
NO_RATIO = re.compile(r"[=<>|\[\]]|\\(?:mid|in|to|mapsto|rightarrow|\{|text|begin)(?![a-z])|\\\{")


def terms(text: str) -> list[str] | None:
    """The terms of a ratio; None for anything else."""
    text = COLON.sub(":", text)
    if ":" not in text or NO_RATIO.search(text):
        return None
    parts = split(text, ":")
    return parts if len(parts) > 1 and all(parts) else None


def same_ratio(gold: list[str], answer: list[str], parse: Any, same: Any) -> bool | None:
    """Whether two ratios are equal; None where a term cannot be read."""
    if len(gold) != len(answer):
        return False
    dotted = [[bool(DOTS.fullmatch(part)) for part in side] for side in (gold, answer)]
    if dotted[0] != dotted[1]:
        return False
    read = [[expression(part, parse) for part in side if not DOTS.fullmatch(part)] for side in (gold, answer)]
    if any(term is None or term == 0 for side in read for term in side) or not read[0]:
        return None
    first, second = read
    verdicts = [same(a * second[0], b * first[0]) for a, b in zip(first, second, strict=True)]
    if False in verdicts:
        return False
    return None if None in verdicts[1:] else True


def expression(text: str, parse: Any) -> Any:
    """A term's value."""
    from sympy import Expr

    return next((value for value in parse(text) if isinstance(value, Expr)), None)
