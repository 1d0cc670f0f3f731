"""reasoning-gym's data sets: made of a name and options, their rows by index, and what a row's JSON has lost."""

from __future__ import annotations

import importlib
import json
import random
from collections.abc import Callable
from dataclasses import MISSING, fields, is_dataclass, replace
from datetime import date, datetime
from datetime import time as clock
from enum import Enum
from typing import Any

OURS = ("seed", "size")  # fields of a configuration that are no option
# their rows are laid out when a data set is made, by its seed: row `index` is of a data set of its own
LAID_OUT = {"acre": 5, "gsm_symbolic": 1, "list_functions": 1}  # name → rows of such a data set
SEEDED = ("word_ladder",)  # ends at its size, so that the seed counts on in place of the index
KEPT: dict[str, Any] = {}
LONGEST = 300  # characters of an exception's text
registry: dict[str, tuple[Any, Any]] = {}


def load() -> None:
    """Import the package; `composite`, which is a mixture of the others, is left out."""
    registry.update(vars(importlib.import_module("reasoning_gym.factory"))["DATASETS"])
    importlib.import_module("reasoning_gym")
    registry.update(vars(importlib.import_module("reasoning_gym.factory"))["DATASETS"])
    registry.pop("composite")


def described(name: str, options: dict[str, Any]) -> dict[str, Any]:
    """Every task's name and the options of this one; `refused`, where its configuration does not take these."""
    found: dict[str, Any] = {"names": sorted(registry), "options": {}, "refused": ""}
    if name not in registry:
        return found
    found["options"] = {field.name: repr(usual(field)) for field in fields(registry[name][1]) if field.name not in OURS}
    if set(options) <= set(found["options"]):
        try:
            made(name, options, 0)
        except Exception as error:  # noqa: BLE001  the package's: asserts, ValueErrors, whatever a wrong type leads to
            found["refused"] = str(error)[:LONGEST] or type(error).__name__
    return found


def usual(field: Any) -> Any:
    """A field's default; None where it has none."""
    if field.default is not MISSING:
        return field.default
    return field.default_factory() if field.default_factory is not MISSING else None


def dataset(name: str, options: dict[str, Any]) -> Any:
    """The data set by which rows are made and scored, made once."""
    key = json.dumps([name, options], sort_keys=True)
    if key not in KEPT:
        KEPT[key] = built(name, options, 0, LAID_OUT.get(name, 500))
    return KEPT[key]


def built(name: str, options: dict[str, Any], seed: int, size: int) -> Any:
    """A data set with its options in the types that the package wants."""
    settle(seed)
    kind, configuration = registry[name]
    defaults = {field.name: usual(field) for field in fields(configuration)}
    values = {key: converted(key, defaults[key], value) for key, value in options.items()}
    config = configuration(**values, seed=seed, size=size)
    return kind(config=config)


def converted(name: str, default: Any, value: Any) -> Any:
    """A value of TOML or JSON in the type of an option's default; raises TypeError, ValueError where it has no such."""
    if default is None:
        return value
    if isinstance(default, Enum):
        return type(default)(value)
    if is_dataclass(default) and not isinstance(default, type) and isinstance(value, dict):
        return replace(default, **value)
    if isinstance(default, (clock, date, datetime)):
        return type(default).fromisoformat(str(value))
    if isinstance(default, (list, tuple)) and isinstance(value, list):
        items = [converted(name, default[0], item) if default else item for item in value]
        return type(default)(items)
    fits = (int, float) if isinstance(default, float) else type(default)
    if not isinstance(value, fits) or (isinstance(value, bool) and not isinstance(default, bool)):
        raise TypeError(f"{name} is of the type {type(default).__name__}, and not {type(value).__name__}")
    return value


def made(name: str, options: dict[str, Any], index: int) -> dict[str, Any]:
    """The row at an index; the same, whatever was made before it."""
    if name in LAID_OUT:
        size = LAID_OUT[name]
        data = built(name, options, index, size)
        settle(index)
        found = data[index % size]
    elif name in SEEDED:
        data = dataset(name, options)
        data.seed, data.size = index, 500
        settle(index)
        found = data[0]
    else:
        data = dataset(name, options)
        settle(index)
        found = data[index]
    row = {key: found[key] for key in ("question", "answer", "metadata")}
    return dict(json.loads(json.dumps(row, default=str)))


def settle(seed: int) -> None:
    """Some generators draw from the global random states."""
    random.seed(seed)
    vars(importlib.import_module("numpy.random"))["seed"](seed)


def row(name: str, options: dict[str, Any], index: int) -> dict[str, Any]:
    """A reply: the row, or why the generator made none there."""
    try:
        return {"row": made(name, options, index)}
    except Exception as error:  # noqa: BLE001  the package's: some of its puzzles find no solution within their tries
        return {"failed": text_of(error)}


def boards(metadata: dict[str, Any]) -> dict[str, Any]:
    """ARC's boards are tuples of tuples, and are compared as such."""
    board = metadata["output"]
    return {**metadata, "output": tuple(tuple(line) for line in board)}


RESTORED: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {"arc_agi": boards, "rearc": boards}


def restored(name: str, entry: dict[str, Any]) -> dict[str, Any]:
    """A row as the scorer knows it: JSON has no tuples."""
    try:
        return {**entry, "metadata": RESTORED[name](entry["metadata"])} if name in RESTORED else entry
    except (KeyError, TypeError):  # metadata of someone else's: the scorer says so
        return entry


def text_of(error: Exception) -> str:
    """An exception in a line."""
    return f"{type(error).__name__}: {error}"[:LONGEST]
