"""The one exception a user ever sees."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """A mistake in what the user gave us: what is wrong, why it cannot work, what to use instead."""

    def __init__(self, what: str, why: str, instead: str) -> None:
        super().__init__(f"{what}\n  why: {why}\n  instead: {instead}")
        self.what, self.why, self.instead = what, why, instead

    def __reduce__(self) -> tuple[type[UserError], tuple[str, str, str]]:
        return type(self), (self.what, self.why, self.instead)  # so that it survives the way out of a worker process


def kind_of(thing: object) -> str:
    """What was given in a model's place, in words: a text is shown, of anything else its type is named."""
    return repr(thing) if isinstance(thing, str) else f"a {type(thing).__name__}"


def nearest(name: str, known: Iterable[str]) -> str:
    """The known names closest to a mistyped one, or all of them: the `instead` of an "unknown X" error.

    Case counts for nothing, nor which of - _ and space stands between words: where that alone differs, it is the one.
    """
    names = sorted(set(known))
    plain = {one: plainly(one) for one in names}
    same = [one for one in names if plain[one] == plainly(name)]
    close = same or [
        one
        for match in dict.fromkeys(difflib.get_close_matches(plainly(name), plain.values(), n=3, cutoff=0.5))
        for one in names
        if plain[one] == match
    ]
    return f"did you mean {' or '.join(close)}?" if close else f"one of: {', '.join(names)}"


def plainly(name: str) -> str:
    """A name without its case and the marks between its words."""
    return name.casefold().replace("-", "").replace("_", "").replace(" ", "")
