"""The table as table.json and table.md."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..artifacts import write_json, write_text
from .cells import Cells, cells
from .table import TableRow

TABLE_JSON, TABLE_MARKDOWN = "table.json", "table.md"


def write_table(rows: list[TableRow], directory: Path) -> None:
    """Write every figure as JSON, and the table as Markdown."""
    write_json(directory / TABLE_JSON, as_records(rows))
    write_text(directory / TABLE_MARKDOWN, as_markdown(cells(rows)))


def as_records(rows: list[TableRow]) -> list[dict[str, Any]]:
    """One object a row, holding no NaN: what is not finite is null, with `finite` false."""
    records = []
    for row in rows:
        record = asdict(row)
        series = record.pop("series")
        if row.validation.mean is None:  # no run has such a split
            del record["validation"]
        records.append({**series, **record})
    return records


def as_markdown(table: Cells) -> str:
    """A GitHub table; figures are aligned on the right."""
    rule = tuple("---" if column < table.names else "---:" for column in range(len(table.header)))
    rows = (table.header, rule, *table.body)
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |\n" for row in rows)
