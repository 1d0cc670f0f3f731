"""The record of a public data set as a task: where it is, its columns, what the model sees, how it is graded."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..rewards import Grader
from .task import Row, Sampling

Names = tuple[str, ...]  # of one column in the known layouts, the hub's first; "a.b" is b in the table a
Fields = Mapping[str, Any]  # a row's values, by the names that a task gives its columns


class BadRow(Exception):
    """A row that has its columns and still is no question: why. The reader says where it stands."""


def as_text(value: Any) -> str:
    """A text or a number as a person writes it: 145.0 is 145."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise BadRow(f"{value!r} is neither a text nor a number"[:300])
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()


@dataclass(frozen=True)
class Hub:
    """A data set of the hub: its id, its splits ("" where it has none), and the rows that its card states (0: none)."""

    id: str
    test: str = ""
    train: str = ""
    test_rows: int = 0
    train_rows: int = 0
    configs: tuple[str, ...] = ("",)  # read one after the other
    seen: str = ""  # what these were read from, as no hub was within reach when they were written down


@dataclass(frozen=True)
class Benchmark:
    """A task whose rows come from the hub, or from a file of the same columns.

    `make` gets a row's `columns`, checked to be there and to hold something (`answer` through `gold`), and `optional`
    ones, None where a row has it not; it raises BadRow for a row that is no question all the same.
    """

    name: str
    description: str
    grader: Grader
    hub: Hub | None  # None: a plain grader for a user's own data
    template: str  # what the model is asked, `{name}` standing for a field
    columns: Mapping[str, Names]
    make: Callable[[str, Fields], Row]  # (template, fields) → row
    sampling: Sampling
    source: str  # of template, grader and sampling
    optional: Mapping[str, Names] = field(default_factory=dict)
    gold: Callable[[Any], Any] = as_text  # of the field `answer`; raises BadRow
    chat: bool = True
    stop: tuple[str, ...] = ()
    keep: Callable[[Fields], bool] | None = None  # rows of another year stay out
    distinct: str = ""  # the field of which duplicates are removed
    grouped: bool = False  # rows of a kind stand together, so that they are asked in a fixed random order


def fill(template: str, **fields: str) -> str:
    r"""The template with every known `{name}` replaced; other braces, as in `\boxed{}`, stay."""
    return re.sub("|".join(rf"\{{{name}\}}" for name in fields), lambda found: fields[found[0][1:-1]], template)
