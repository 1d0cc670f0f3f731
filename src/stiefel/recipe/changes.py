"""Changes as `--set` takes them: what each sets, and where."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ..errors import UserError


def parse_change(change: str) -> dict[str, Any]:
    """`optim.lr=1e-3` → {"optim": {"lr": 0.001}}; a value that is not TOML is taken as a string."""
    key, equals, text = change.partition("=")
    if not equals or not key.strip():
        raise UserError(f"--set {change!r} is not a change", "it has no key and value", "write --set optim.lr=1e-3")
    value = parse_value(text)
    for part in reversed(key.strip().split(".")):
        value = {part: value}
    assert isinstance(value, dict)
    return value


def places_set(base: Mapping[str, Any], changes: Iterable[Mapping[str, Any]], above: str = "") -> Iterator[str]:
    """Where changes set a value, or a table that the base has not: `section.key`, each with all that is below it."""
    for change in changes:
        for key, value in change.items():
            below = base.get(key)
            if isinstance(value, Mapping) and value and isinstance(below, Mapping):
                yield from places_set(below, [value], f"{above}{key}.")
            else:
                yield f"{above}{key}"


def parse_value(text: str) -> Any:
    """The value that a TOML file would hold; a text that is not TOML is taken as a string."""
    try:
        parsed = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        parsed = {"value": text}
    if parsed.keys() != {"value"}:
        raise UserError(f"{text!r} is more than one value", "one key is set at a time", "repeat the option")
    return parsed["value"]
