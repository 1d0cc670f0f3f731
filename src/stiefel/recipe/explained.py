"""The first thing that pydantic found wrong with a recipe, in the recipe's own words."""

from __future__ import annotations

import json
import types
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails, PydanticUndefined

from ..errors import UserError, closest, in_words, meant_number, nearest
from .sections import Section
from .wanted import kind, section_in

OUT_OF_BOUNDS = ("greater_than", "greater_than_equal", "less_than", "less_than_equal", "string_too_short")


@dataclass(frozen=True)
class Place:
    """Where in a recipe something is: the key, the section that it lies in, and the type of what it holds."""

    path: str
    section: type[Section]
    field: FieldInfo | None  # None of a section itself, and of a key that there is not
    annotation: Any


def explain(error: ValidationError, recipe: type[Section], source: str, set_over: Collection[str] = ()) -> UserError:
    """What does not fit, what may stand there, and what to write instead; `set_over` is what changes have set."""
    first = plainest(error.errors())
    place = located(first["loc"], recipe)
    path = place.path
    changed = any(f"{path}.".startswith(f"{one}.") for one in set_over)
    where = f" in the changes to {source}" if source and changed else f" in {source}" if source else ""
    if first["type"] == "extra_forbidden":
        return UserError(
            f"unknown key {path}{where}",
            "a key that nothing reads would be a setting silently lost",
            known_key(place, recipe, as_change=changed),
        )
    if first["type"] == "missing":
        return UserError(f"{path} is not there{where}", "it has no default", f"{path}: {meaning(place, recipe)}")
    what = f"{path} = {first['input']!r}"[:200]
    return UserError(
        f"{what}{where} does not fit",
        why(first, place),
        f"{better(first, place, as_change=changed)}{path}: {meaning(place, recipe)}",
    )


def known_key(place: Place, recipe: type[Section], *, as_change: bool) -> str:
    """What may have been meant by an unknown key: one of that name in a table, one close to it, or where they stand."""
    path = place.path
    siblings = [".".join((*path.split(".")[:-1], name)) for name in place.section.model_fields]
    if path.count(".") > 1 or not all(section_in(table.annotation) for table in recipe.model_fields.values()):
        return nearest(path, siblings)
    known = keys(recipe)
    if "." in path:
        close = called(path.rpartition(".")[2], known) or closest(path, known)
        return nearest(path, siblings) if not close else f"did you mean {' or '.join(close)}?"
    same = called(path, known)
    if same and not as_change:
        return f"did you mean {', or '.join(map(in_its_table, same))}"
    tables = list(recipe.model_fields)
    close = closest(path, tables) or closest(path, {one.rpartition(".")[2] for one in known})
    meant = same or [one for name in close for one in ([name] if name in tables else called(name, known))]
    if meant:
        return f"did you mean {' or '.join(meant)}?"
    return f"one of the tables: {', '.join(tables)}; `stiefel help` lists their keys"


def called(name: str, known: Iterable[str]) -> list[str]:
    """The keys of that name, where it is written without their table."""
    return [key for key in known if key.rpartition(".")[2] == name]


def in_its_table(key: str) -> str:
    """`optim.lr: [optim] lr = …`."""
    table, _, name = key.rpartition(".")
    return f"{key}: [{table}] {name} = …"


def plainest(errors: Sequence[ErrorDetails]) -> ErrorDetails:
    """The first error; of a key that may hold several types the one that says most of what was meant."""
    alike = [error for error in errors if error["loc"][:2] == errors[0]["loc"][:2]]
    return max(alike, key=lambda error: (len(error["loc"]), not error["type"].endswith("_type")))


def located(location: Sequence[str | int], recipe: type[Section]) -> Place:
    """A location as a path of keys, without the names of types that pydantic puts between them."""
    place = Place("", recipe, None, recipe)
    for number, part in enumerate(location):
        several = without_bounds(place.annotation)
        if get_origin(several) in (Union, types.UnionType):
            below = [one for one in get_args(several) if get_origin(one) in (list, dict)]
            if number + 1 == len(location) or not below:
                break
            place = Place(place.path, place.section, place.field, below[0])
        else:
            place = below_of(place, part)
    return place


def below_of(place: Place, part: str | int) -> Place:
    """One key, or one entry of a list, further down."""
    path = f"{place.path}.{part}".lstrip(".")
    section, inner = section_in(place.annotation), get_args(place.annotation)
    if section is None:
        return Place(path, place.section, place.field, inner[-1] if inner else Any)
    field = section.model_fields.get(str(part))
    if field is None:
        return Place(path, section, None, None)
    annotation = Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation
    return Place(path, section, field, annotation)


def why(first: ErrorDetails, place: Place) -> str:
    """What may stand there, and what was given where that is of another kind."""
    if first["type"] == "value_error":
        return str(first["ctx"]["error"])
    if first["type"] == "finite_number":
        return f"it must be {kind(place.annotation)}, and {first['input']} is not finite"
    if first["type"] in OUT_OF_BOUNDS or first["type"] == "literal_error":
        return f"it must be {kind(place.annotation)}"
    return f"it must be {kind(place.annotation)}, and {in_words(first['input'])} was given"


def better(first: ErrorDetails, place: Place, *, as_change: bool) -> str:
    """The value that may have been meant, where there is one, before the key's own meaning."""
    value, plain = first["input"], without_bounds(place.annotation)
    if get_origin(plain) is Literal and isinstance(value, str):
        words = nearest(value, map(str, get_args(plain)))
        return f"{words} " if words.endswith("?") else f"{words}; "
    if (
        plain in (int, float)
        and (meant := meant_number(value, whole=plain is int))
        and first["type"] not in OUT_OF_BOUNDS
    ):
        return f"write {meant}; "
    if get_origin(plain) is list and isinstance(value, str):
        lost = value.startswith("[") and value.endswith("]")  # a list whose quotes the shell took for its own
        listed = value[1:-1] if lost else value
        parts = [part.strip() for part in listed.split(",") if part.strip()] or [value]
        around = ", in single quotes on a command line" if as_change else ""
        around = " in single quotes, which the shell takes away" if lost else around
        return f"write {json.dumps(parts, ensure_ascii=False)}{around}; "
    return ""


def without_bounds(annotation: Any) -> Any:
    """The type alone."""
    return get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation


def keys(recipe: type[Section]) -> dict[str, str]:
    """Every key of a recipe, `section.key`, with its docstring and default."""
    found = {}
    for section, table in recipe.model_fields.items():
        inner = section_in(table.annotation)
        assert inner is not None
        for key, field in inner.model_fields.items():
            found[f"{section}.{key}"] = described(field)
    return found


def described(field: FieldInfo) -> str:
    """A key's docstring and default."""
    default = "" if field.default is PydanticUndefined else f" Default: {field.default!r}."
    return f"{field.description}{default}"


def meaning(place: Place, recipe: type[Section]) -> str:
    """The docstring of a key, or the keys that there are."""
    if place.field is not None and place.field.description:
        return described(place.field)
    inner = section_in(place.annotation)
    names = sorted(keys(recipe)) if inner is None or inner is recipe else list(inner.model_fields)
    return f"a table of settings; the keys are {', '.join(names)}"
