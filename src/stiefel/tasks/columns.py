"""A record's columns, by the names that they may have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import UserError
from .benchmark import Benchmark, Fields, Names
from .table import Record

MISSING: Any = object()


def at(record: Record, name: str) -> Any:
    """A column's value; `a.b` is b in the table a, where no column is called so itself; MISSING where there is none."""
    if name in record:
        return record[name]
    value: Any = record
    for part in name.split("."):
        if not isinstance(value, Mapping) or part not in value:
            return MISSING
        value = value[part]
    return value


def value_of(record: Record, names: Names) -> Any:
    """The value under the first of the names that the record has; MISSING where it has none of them."""
    return next((value for name in names if (value := at(record, name)) is not MISSING), MISSING)


def fields_of(benchmark: Benchmark, record: Record, place: str) -> Fields:
    """A record's values by the benchmark's own names; raises UserError for one that is missing or holds nothing."""
    task, fields = benchmark.name, {}
    for field, names in benchmark.columns.items():
        value = value_of(record, names)
        if value is MISSING:
            raise UserError(
                f"{place} has no column {' or '.join(names)}",
                f"{task} needs it; the columns there are {', '.join(map(str, record)) or 'none'}",
                f"rename the column; data that are not {task}'s need another task.name, and their columns named",
            )
        if empty(value):
            raise UserError(
                f"{place} has an empty {' or '.join(names)}", f"{task} needs it", "fill it in, or leave that row out"
            )
        fields[field] = value
    for field, names in benchmark.optional.items():
        value = value_of(record, names)
        fields[field] = None if value is MISSING else value
    return fields


def empty(value: Any) -> bool:
    """Nothing, a text of white space, or a table or list that holds nothing."""
    if isinstance(value, str):
        return not value.strip()
    return value is None or (isinstance(value, list | tuple | Mapping) and not value)
