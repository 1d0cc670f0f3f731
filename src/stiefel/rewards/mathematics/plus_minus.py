r"""± within an expression → the list of what it stands for: \frac{1\pm\sqrt5}{2}, (1, \pm 2), x = \pm 2."""

from __future__ import annotations

import re
from itertools import product

from .plain_text import split

SIGN = re.compile(r"\\(pm|mp)(?![A-Za-z])\s*")
MOST = 4  # signs in one expression
NEGATED = re.compile(r"-\s*\(([^()]*,[^()]*)\)")
STARTS = re.compile(r"(^|[({=,\[]|\\(?:text|lor|land)\b)\s*\+")


def expanded(text: str) -> str:
    """The text with each of its elements that has a ± twice, or as often as its signs combine.

    Where ∓ stands too, all signs of an element change together; else each changes by itself.
    """
    if not SIGN.search(text):
        return text
    found: list[str] = []
    for element in split(text):
        found += variants(element)
    return ", ".join(dict.fromkeys(found))


def variants(element: str) -> list[str]:
    """One element with every combination of its signs."""
    signs = [match[1] for match in SIGN.finditer(element)]
    if not signs or len(signs) > MOST:
        return [element]
    choices = (
        [(True,) * len(signs), (False,) * len(signs)] if "mp" in signs else product((True, False), repeat=len(signs))
    )
    return [with_signs(element, choice) for choice in choices]


def with_signs(element: str, choice: tuple[bool, ...]) -> str:
    """One element with these signs; a plus in front is left out."""
    upper = iter(choice)
    signed = SIGN.sub(lambda match: "+" if next(upper) == (match[1] == "pm") else "-", element)
    signed = STARTS.sub(r"\1", signed)
    if match := NEGATED.fullmatch(signed):
        return "(" + ", ".join(f"-({part})" for part in split(match[1])) + ")"
    return signed
