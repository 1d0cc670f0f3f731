"""A local file of rows → records."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import pyarrow
import pyarrow.csv
import pyarrow.parquet
from datasets import Dataset

from ..errors import UserError

Record = Mapping[str, Any]
SUFFIXES = (".jsonl", ".json", ".parquet", ".csv")


class Table(Protocol):
    """Records by number: a list, or a data set that reads each from disk."""

    def __len__(self) -> int: ...

    def __getitem__(self, number: int, /) -> Record: ...


def read_file(path: Path) -> Table:
    """The records of a .json (a list of objects), .parquet or .csv file; any other name is read as JSON lines."""
    try:
        match path.suffix.lower():
            case ".json":
                return read_json_list(path)
            case ".parquet":
                return arrow_table(pyarrow.parquet.read_table(path))
            case ".csv":
                return arrow_table(pyarrow.csv.read_csv(path))
        return read_lines(path)
    except (OSError, UnicodeDecodeError, pyarrow.ArrowInvalid) as error:
        raise unreadable(path, error) from error


def unreadable(path: Path, error: Exception) -> UserError:
    """Why a file of rows cannot be read, without the number and the path that an OSError puts around it."""
    if isinstance(error, FileNotFoundError):
        return UserError(f"{path} cannot be read", "there is no such file", "look for a slip in its name")
    why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    why = (why.splitlines() or [type(error).__name__])[0]
    return UserError(f"{path} cannot be read", why, "give a file of JSON lines in UTF-8")


def arrow_table(arrow: Any) -> Table:
    """An Arrow table as records."""
    table: Table = Dataset(arrow)
    return table


def read_lines(path: Path) -> list[Record]:
    """Every line as a record; a blank line is passed over, a broken one is named by its number."""
    records: list[Record] = []
    with path.open(encoding="utf-8-sig") as lines:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                records.append(parse(line, f"{path} line {number}"))
    return records


def read_json_list(path: Path) -> list[Record]:
    """A whole file that is one list of objects."""
    try:
        records = json.loads(path.read_text(encoding="utf-8-sig"))
    except (json.JSONDecodeError, RecursionError) as error:
        raise UserError(f"{path} is not JSON", str(error), "mend it, or name a file of JSON lines .jsonl") from error
    if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
        raise UserError(f"{path} is no list of rows", "a row is an object of columns", '[{"prompt": "..."}, ...]')
    return records


def parse(line: str, place: str) -> Record:
    """One line of JSON that holds a table of columns."""
    try:
        record = json.loads(line)
    except (json.JSONDecodeError, RecursionError) as error:
        raise UserError(f"{place} is not JSON", str(error), "mend or remove that line") from error
    if not isinstance(record, dict):
        raise UserError(f"{place} is no row", "a row is an object of columns", '{"prompt": "...", "answer": "..."}')
    return record
