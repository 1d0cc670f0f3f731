"""What is asked of the process: which tasks there are, rows by index."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..sandbox import SandboxError
from .process import keeper

ROW_SECONDS = 120.0  # that the generator of a row may take; the slowest of the usual ones need two


class RowFailure(Exception):
    """No row could be made, or none in time."""


def described(name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """`names`: all tasks; `options`: those of this one, with their defaults; `refused`: why these do not fit."""
    here = keeper()
    with here.lock:
        process = here.get()
        process.say({"do": "describe", "name": name, "options": jsoned(options)})
        return dict(process.hear(ROW_SECONDS))


def made_rows(name: str, options: Mapping[str, Any], indices: Sequence[int]) -> Iterator[dict[str, Any] | str]:
    """The row at each index, or why its generator made none there; raises RowFailure where one takes too long."""
    here = keeper()
    with here.lock:
        process = here.get()
        process.say({"do": "rows", "name": name, "options": jsoned(options), "indices": list(indices)})
        found = []
        for index in indices:
            try:
                reply = process.hear(ROW_SECONDS)
            except SandboxError as error:
                raise RowFailure(f"the row at index {index} could not be made: {error}") from error
            found.append(reply["row"] if "row" in reply else str(reply["failed"]))
    return iter(found)


def jsoned(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options as JSON has them: TOML's dates as texts."""
    return {
        key: value if isinstance(value, (bool, int, float, str, list, dict)) else str(value)
        for key, value in options.items()
    }
