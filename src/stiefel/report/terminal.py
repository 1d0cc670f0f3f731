"""The table on a terminal."""

from __future__ import annotations

import sys
from pathlib import Path

from .cells import narrow_cells
from .engine import engine_warnings
from .runs import read_run, read_runs
from .table import ends, table, window_of
from .truncation import of_rollouts, of_tasks, warnings


def print_scores(directory: Path) -> None:
    """Print what a run came to, on stdout: its reward, and every measured task before and after training."""
    from rich.console import Console
    from rich.table import Table

    run = read_run(directory)
    console = Console(width=None if sys.stdout.isatty() else 100, highlight=False)
    grid = Table(box=None, pad_edge=False, collapse_padding=True)
    for name in ("", "before → after", "gain [95%]"):
        grid.add_column(name, justify="left", no_wrap=not name, overflow="fold")
    rewards = [value for _, value in run.values("reward")]
    if rewards:
        first, last = ends(rewards)
        grid.add_row("reward, first → last", f"{first:.3f} → {last:.3f}", over(len(rewards)))
    cut = of_rollouts(run)
    if cut is not None and any(cut):
        grid.add_row("truncated, first → last", f"{cut[0]:.3f} → {cut[1]:.3f}", over(len(rewards)))
    shares = of_tasks(run)
    for task, score in (*run.scores.items(), *run.validation.items()):
        gain, share = score.difference, shares.get(task, 0.0)
        grid.add_row(
            task.replace("[", "\\["),
            f"{score.before.mean:.3f} → {score.after.mean:.3f}",
            f"{gain.mean:+.3f} \\[{gain.low:+.3f}, {gain.high:+.3f}], {gain.questions} questions"
            + (f", {100 * share:.0f}% truncated" if share else ""),
        )
    if grid.row_count:
        console.print(grid)


def over(rollouts: int) -> str:
    """Which rollouts the first and the last are."""
    window = window_of(rollouts)
    if rollouts == 1:
        return "the same rollout"
    return "rollout 1 and the last" if window == 1 else f"means of {window} rollouts each"


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


def run_warnings(directory: Path) -> list[str]:
    """Of every run of a directory, what is to be said of completions that were cut off, and of its engine."""
    return [f"{run.name}: {line}" for run in read_runs(directory) for line in (*warnings(run), *engine_warnings(run))]
