"""An inspection on a terminal: a row a kind of matrix, a row a depth, and what the numbers say."""

from __future__ import annotations

import sys

from .inspection import Inspection

# heading → figure, and whether it is a share
COLUMNS = (
    ("‖ΔW‖/‖W‖", "relative", True),
    ("NSS", "nss", True),
    ("S_Head", "s_head", True),
    ("left", "s_head_left", True),
    ("right", "s_head_right", True),
    ("tail", "s_tail", True),
    ("stable rank", "stable_rank", False),
    ("A in top", "similarity_top", False),
    ("A in tail", "similarity_bottom", False),
    ("‖B₀A₀‖", "start_norm", False),
    ("bf16", "bf16_changed", True),
)


def rows(inspection: Inspection) -> list[list[str]]:
    """The heading, then kinds, depths and all matrices together; columns that nothing fills are left out."""
    summary = inspection.summary
    groups = [*summary["by_kind"].items(), *((f"layer {d}", m) for d, m in summary["by_depth"].items())]
    groups.append((f"all {summary['matrices']}", summary))
    shown = [column for column in COLUMNS if summary[column[1]] is not None]
    body = [[name, *(cell(means[figure], share=share) for _, figure, share in shown)] for name, means in groups]
    return [["mean of", *(heading for heading, _, _ in shown)], *body]


def cell(value: float | None, *, share: bool) -> str:
    """Shares in per cent, three digits; empty where there is no figure."""
    if value is None:
        return ""
    return f"{100 * value:.3g}%" if share else f"{value:.3g}"


def print_inspection(inspection: Inspection) -> None:
    """Print the table and the reading to stdout."""
    from rich.console import Console
    from rich.table import Table

    heading, *body = rows(inspection)
    grid = Table(box=None, pad_edge=False, collapse_padding=True)
    for number, name in enumerate(heading):
        grid.add_column(name, justify="right" if number else "left", no_wrap=True)
    for row in body:
        grid.add_row(*row)
    console = Console(width=None if sys.stdout.isatty() else 120, highlight=False)
    rank = f", rank {inspection.rank}" if inspection.rank is not None else ""
    console.print(f"{inspection.subject}: {inspection.method}{rank}, against {inspection.base}", markup=False)
    console.print(grid)
    for line in inspection.reading:
        console.print(line, markup=False)
