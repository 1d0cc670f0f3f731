"""Types and values of a recipe in words."""

from __future__ import annotations

import types
from collections.abc import Iterable
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt, MinLen
from pydantic.fields import FieldInfo

from .sections import Section

KINDS: dict[Any, str] = {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}


def kind(annotation: Any) -> str:
    """A type with its bounds."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return kind(inner[0]) + bounds(inner[1:])
    if origin is Literal:
        return "one of " + ", ".join(str(one) or '""' for one in inner)
    if origin in (Union, types.UnionType):
        kinds = [kind(one) for one in inner]
        return " or ".join([", ".join(kinds[:-1]), kinds[-1]])
    if origin is list:
        return f"a list, each of it {kind(inner[0])}"
    if origin is dict:
        return "a table" if inner[1] is Any else f"a table, each value {kind(inner[1])}"
    return KINDS.get(annotation, "a table of settings")


def bounds(metadata: Iterable[Any]) -> str:
    """`, at least 1 and below 5`, of the bounds that there are."""
    words = []
    for one in metadata:
        match one:
            case FieldInfo():
                words.append(bounds(one.metadata).removeprefix(", "))
            case Ge():
                words.append(f"at least {one.ge}")
            case Gt():
                words.append(f"above {one.gt}")
            case Le():
                words.append(f"at most {one.le}")
            case Lt():
                words.append(f"below {one.lt}")
            case MinLen():
                words.append("not empty")
    said = " and ".join(word for word in words if word)
    return f", {said}" if said else ""


def section_in(annotation: Any) -> type[Section] | None:
    """The section that a type is."""
    return annotation if isinstance(annotation, type) and issubclass(annotation, Section) else None
