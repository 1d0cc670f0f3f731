"""An evaluation on a terminal."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from ..scores import usual_ks


def score_rows(summary: dict[str, Any], ks: Sequence[int] = ()) -> list[tuple[str, str, str]]:
    """(Figure, value, 95% interval) of avg@n, of pass@k for the given k or the powers of two, and of the lengths."""
    n = summary["samples"]
    names = [f"avg@{n}", *(f"pass@{k}" for k in ks or usual_ks(n))]
    found = [(name, summary["scores"][name]) for name in names if name in summary["scores"]]
    scored = [
        (name, f"{score['mean']:.3f}", f"[{score['low']:.3f}, {score['high']:.3f}]") for name, score in found
    ] or [(names[0], "—", "no gold answer could be read")]
    unreadable = f", {summary['unreadable']} of them unreadable and left out" if summary["unreadable"] else ""
    return [
        *scored,
        ("mean tokens", f"{summary['mean_tokens']:.1f}", ""),
        ("truncated", f"{100 * summary['truncated']:.1f}%", ""),
        ("questions", str(summary["questions"]), f"{n} samples each{unreadable}"),
    ]


def lm_eval_rows(summary: dict[str, Any]) -> list[tuple[str, str, str]]:
    """(Figure, value, 95% interval) of lm-eval's metrics."""
    return [
        (
            name,
            f"{score['mean']:.3f}",
            ""
            if score["low"] is None
            else f"[{score['low']:.3f}, {score['high']:.3f}], {score['questions']} questions",
        )
        for name, score in summary["scores"].items()
    ]


def difference_rows(comparison: dict[str, Any], ks: Sequence[int] = ()) -> list[tuple[str, str, str]]:
    """(Figure, difference with its interval, both values) of a paired comparison."""
    differences = comparison["differences"]
    most = max((int(name.partition("@")[2]) for name in differences if name != "avg"), default=0)
    names = ["avg", *(f"pass@{k}" for k in ks or usual_ks(most or 1))]
    return [
        (
            name,
            f"{found['mean']:+.3f} [{found['low']:+.3f}, {found['high']:+.3f}]",
            f"{found['before']:.3f} → {found['after']:.3f}, {found['questions']} questions",
        )
        for name in names
        if (found := differences.get(name)) is not None
    ]


def print_rows(title: str, heading: tuple[str, str, str], body: Sequence[tuple[str, str, str]]) -> None:
    """Print one table to stdout."""
    from rich.console import Console
    from rich.table import Table

    grid = Table(box=None, pad_edge=False, collapse_padding=True)
    for number, name in enumerate(heading):
        grid.add_column(name, justify="right" if number == 1 else "left", no_wrap=True)
    for row in body:
        grid.add_row(*(cell.replace("[", "\\[") for cell in row))
    console = Console(width=None if sys.stdout.isatty() else 120, highlight=False)
    console.print(title, markup=False)
    console.print(grid)
