"""What of a row a user's reward is called with."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from inspect import Parameter
from typing import Any

GIVEN = ("completion", "answer")  # first, in this order, whatever the function calls them
BY_POSITION = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
BY_NAME = (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)


class DoesNotFit(Exception):
    """A function that cannot be called with a completion, an answer and a row: why, and what to write instead."""

    def __init__(self, why: str, instead: str) -> None:
        super().__init__(why)
        self.why, self.instead = why, instead


def taken(function: Callable[..., Any], row: Mapping[str, Any]) -> dict[str, Any]:
    """The columns that the function takes: all of them where it has **row, else those that its parameters name.

    Raises DoesNotFit where it does not take a completion and an answer first, or asks for a column that is not there.
    """
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):  # one written in C, say, has no signature to be read
        return dict(row)
    names = given_names(parameters)
    if double := [name for name in names if name in row]:
        meant = GIVEN[names.index(double[0])]
        raise DoesNotFit(
            f"its parameter {double[0]} is given the {meant}, and the row has a column {double[0]} too",
            f"call that parameter {meant}; the column comes by its name after the two, or in **row",
        )
    others = [one for one in parameters if one.kind in BY_NAME and one.name not in names]
    missing = [one.name for one in others if one.default is Parameter.empty and one.name not in row]
    if missing:
        columns = ", ".join(map(repr, row)) or "none"
        raise DoesNotFit(
            f"its parameter {missing[0]} is no column of the row, whose columns are {columns}",
            f"leave {missing[0]} out or give it a default; **row holds every column",
        )
    if any(one.kind is Parameter.VAR_KEYWORD for one in parameters):
        return dict(row)
    return {one.name: row[one.name] for one in others if one.name in row}


def given_names(parameters: list[Parameter]) -> list[str]:
    """What the function calls the completion and the answer, where these could also be columns."""
    places = [one for one in parameters if one.kind in BY_POSITION]
    swallows = any(one.kind is Parameter.VAR_POSITIONAL for one in parameters)
    names = [one.name for one in places]
    first = names[: len(GIVEN)]
    for place, name in enumerate(GIVEN):
        if any(one.name == name for one in parameters) and first[place : place + 1] != [name]:
            raise DoesNotFit(
                f"its parameter {name} is not number {place + 1}, and it is given the completion, then the answer",
                "put these two first, in this order",
            )
    if len(first) < len(GIVEN) and not swallows:
        raise DoesNotFit(
            f"it takes {len(first)} of the two that it is given, the completion and the answer",
            "let it take both",
        )
    if unnamed := [one.name for one in places[2:] if one.kind is Parameter.POSITIONAL_ONLY]:
        raise DoesNotFit(f"its parameter {unnamed[0]} takes no name, and columns are given by name", "leave out the /")
    return [one.name for one in places[:2] if one.kind is not Parameter.POSITIONAL_ONLY]
