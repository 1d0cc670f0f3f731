"""A user's own data: a JSON-lines file or a data set of the hub → records."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from datasets import load_dataset
from huggingface_hub.errors import HfHubHTTPError

from ..errors import UserError

Record = Mapping[str, Any]


class Table(Protocol):
    """Records by number: a list, or a data set that reads each from disk."""

    def __len__(self) -> int: ...

    def __getitem__(self, number: int, /) -> Record: ...


def read_table(data: str, split: str) -> Table:
    """The records of a .jsonl file, or of one split of a hub data set (downloaded if it is not cached)."""
    if Path(data).is_file():
        return read_file(Path(data))
    if data.endswith(".jsonl") or data.startswith((".", "/", "~")) or data.count("/") > 1:
        raise UserError(
            f"no data at {data}",
            "there is no such file, and it has not the form of a hub id (owner/name)",
            "give an existing .jsonl file or a hub id in task.data",
        )
    return read_hub(data, split)


def read_file(path: Path) -> Table:
    """Every line as a table; a blank line is passed over, a broken one is named by its number."""
    records: list[Record] = []
    try:
        with path.open(encoding="utf-8-sig") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    records.append(parse(line, f"{path} line {number}"))
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read", str(error), "give a file of JSON lines in UTF-8") from error
    return records


def parse(line: str, place: str) -> Record:
    """One line of JSON that holds a table of columns."""
    try:
        record = json.loads(line)
    except json.JSONDecodeError as error:
        raise UserError(f"{place} is not JSON", str(error), "mend or remove that line") from error
    if not isinstance(record, dict):
        raise UserError(f"{place} is no row", "a row is an object of columns", '{"prompt": "...", "answer": "..."}')
    return record


def read_hub(data: str, split: str) -> Table:
    """One split of a hub data set; its files are read as data, no code of it is run."""
    try:
        table: Table = load_dataset(data, split=split)
    except (HfHubHTTPError, OSError, ValueError) as error:
        raise UserError(
            f"no data set {data} with a split {split}: not a file here, and the hub did not give it",
            (str(error).splitlines() or [type(error).__name__])[0],
            "check task.data, task.split and the connection, or give a .jsonl file",
        ) from error
    return table
