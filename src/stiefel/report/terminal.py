"""The table on a terminal."""

from __future__ import annotations

import sys
from pathlib import Path

from .cells import narrow_cells
from .runs import read_runs
from .table import table


def print_table(directory: Path) -> None:
    """Print the table of a run or a comparison to stdout, narrow enough for 100 columns."""
    from rich.console import Console
    from rich.table import Table

    cells = narrow_cells(table(read_runs(directory)))
    grid = Table(box=None, pad_edge=False, collapse_padding=True)
    for number, name in enumerate(cells.header):
        grid.add_column(name, justify="left" if number < cells.names else "right")
    for row in cells.body:
        grid.add_row(*(cell.replace("[", "\\[") for cell in row))  # not rich's own markup
    Console(width=None if sys.stdout.isatty() else 100).print(grid)
