"""The one exception a user ever sees."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable


class UserError(Exception):
    """A mistake in what the user gave us: what is wrong, why it cannot work, what to use instead."""

    def __init__(self, what: str, why: str, instead: str) -> None:
        super().__init__(f"{what}\n  why: {why}\n  instead: {instead}")
        self.what, self.why, self.instead = what, why, instead

    def __reduce__(self) -> tuple[type[UserError], tuple[str, str, str]]:
        return type(self), (self.what, self.why, self.instead)  # so that it survives the way out of a worker process


class SaidElsewhere(UserError):
    """Another process's error, which that one says: this one ends with it in silence."""


def refuse_both(resume: bool, force: bool) -> None:
    """Raise for two wishes that contradict each other."""
    if resume and force:
        raise UserError(
            "--resume and --force are both given", "one goes on, the other begins again", "give one of them"
        )


def kind_of(thing: object) -> str:
    """What was given in a model's place, in words: a text is shown, of anything else its type is named."""
    return repr(thing) if isinstance(thing, str) else f"a {type(thing).__name__}"


GIVEN: dict[type, str] = {
    type(None): "nothing",
    str: "a text",
    list: "a list",
    dict: "a table",
    int: "a number",
    float: "a number with a decimal point",
}


def in_words(value: object) -> str:
    """What a setting's value is, in words: true and false as they are, of others the kind."""
    return (
        str(value).lower()
        if isinstance(value, bool)
        else GIVEN.get(type(value), f"a value of type {type(value).__name__}")
    )


def require_number(name: str, value: object, holds: Callable[[float], bool], bound: str, *, whole: bool) -> None:
    """Raise for a setting that is no number, true and false among these, or one that it cannot be."""
    kind = "whole number" if whole else "number"
    if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
        raise UserError(
            f"{name} = {value!r} is no {kind}",
            f"it must be a {kind}, {bound}, and {in_words(value)} was given",
            f"give {meant_number(value, whole=whole) or f'a {kind}'}",
        )
    if not holds(value):
        raise UserError(f"{name} = {value} is out of range", f"it must be a {kind}, {bound}", f"give a {kind}, {bound}")


def meant_number(value: object, *, whole: bool = False) -> str:
    """The number that a text, or another type of number, stands for; nothing where there is none, or no whole one."""
    text = str(value).strip()
    if isinstance(value, bool) or not text.removeprefix("-").replace(".", "", 1).isdecimal():
        return ""
    shown = text.removesuffix(".0")
    if whole and "." in shown:
        return ""
    return f"{shown}, without quotes" if isinstance(value, str) else shown


def closest(name: str, known: Iterable[str]) -> list[str]:
    """The known names closest to a mistyped one, as `nearest` finds them; none where none is close."""
    names = sorted(set(known))
    plain = {one: plainly(one) for one in names}
    same = [one for one in names if plain[one] == plainly(name)]
    return same or [
        one
        for match in dict.fromkeys(difflib.get_close_matches(plainly(name), plain.values(), n=3, cutoff=0.6))
        for one in names
        if plain[one] == match
    ]


def nearest(name: str, known: Iterable[str]) -> str:
    """The known names closest to a mistyped one, or all of them: the `instead` of an "unknown X" error.

    Case counts for nothing, nor which of - _ and space stands between words: where that alone differs, it is the one.
    """
    names = sorted(set(known))
    close = closest(name, names)
    return f"did you mean {' or '.join(close)}?" if close else f"one of: {', '.join(names)}"


def plainly(name: str) -> str:
    """A name without its case and the marks between its words."""
    return name.casefold().replace("-", "").replace("_", "").replace(" ", "")
