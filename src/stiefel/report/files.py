"""The table as table.json, table.md, table.tex and table.csv."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..artifacts import write_json, write_text
from .cells import cells
from .formats import as_csv, as_latex, as_markdown
from .table import TableRow

TABLE_JSON, TABLE_MARKDOWN, TABLE_LATEX, TABLE_CSV = "table.json", "table.md", "table.tex", "table.csv"


def write_table(rows: list[TableRow], directory: Path, notes: Sequence[str] = ()) -> None:
    """Write every figure as JSON and CSV, and the table with its notes as Markdown and LaTeX."""
    records, shown = as_records(rows), cells(rows)
    write_json(directory / TABLE_JSON, records)
    write_text(directory / TABLE_CSV, as_csv(records))
    write_text(directory / TABLE_MARKDOWN, as_markdown(shown, notes))
    write_text(directory / TABLE_LATEX, as_latex(shown, notes))


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
