"""Values with words before them: "Alice: 3, Bob: 5" beside "3, 5"."""

from __future__ import annotations

import re

from .quantities import without_commands

LABEL = re.compile(r"\s*([^\W\d_][^\W\d_]+(?:[ '’-][^\W\d_]+){0,3})\s*[:=]\s*(\S.*?)\s*")
SEPARATOR = re.compile(r",(?!\d{3}(?!\d))|;|\band\b")


def labelled(text: str) -> dict[str, str]:
    """Label → value, in their order; empty where a part has none, or two have the same."""
    found = [LABEL.fullmatch(part) for part in SEPARATOR.split(without_commands(text)) if part.strip()]
    values = {match[1].casefold(): match[2] for match in found if match}
    return values if len(values) == len(found) > 1 else {}


def parts(text: str) -> list[str]:
    """The values of a list, in their order."""
    return [part.strip() for part in SEPARATOR.split(without_commands(text)) if part.strip()]


def side_by_side(gold: str, answer: str) -> list[tuple[str, str]] | None:
    """The values that belong together; [] where they are not as many or not of the same labels; None without labels.

    Where one side has no labels, its values are in the order of the other's.
    """
    wanted, told = labelled(gold), labelled(answer)
    if not wanted and not told:
        return None
    if wanted and told:
        return [(wanted[name], told[name]) for name in wanted] if wanted.keys() == told.keys() else []
    first, second = list(wanted.values()) or parts(gold), list(told.values()) or parts(answer)
    return list(zip(first, second, strict=True)) if len(first) == len(second) else []
