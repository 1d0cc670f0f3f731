"""A progress bar on a terminal, plain lines anywhere else."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

PLAIN_EVERY = 10  # rollouts between two plain lines of a run


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def bars() -> Progress:
    """Bars on stderr that vanish when they are done."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
        console=Console(stderr=True),
        transient=True,
    )


@contextmanager
def run_progress(rollouts: int | None) -> Iterator[Callable[[dict[str, Any]], None]]:
    """A callback for one run's metric rows; of supervised training the number of updates is not known before."""

    def note(row: dict[str, Any]) -> str:
        if "loss" in row:
            return f"loss {row['loss']:.3f}"
        kl = f"  KL {row['kl_rollout']:.1e}" if "kl_rollout" in row else ""
        reward = f"{row['reward']:.3f}" if "reward" in row else "none"  # no gold of the rollout could be read
        return f"reward {reward}{kl}"

    if sys.stderr.isatty():
        with bars() as progress:
            task = progress.add_task("training", total=rollouts, note="")
            yield lambda row: progress.update(task, completed=row["step"], note=note(row))
        return

    def line(row: dict[str, Any]) -> None:
        if row["step"] % PLAIN_EVERY == 0 or row["step"] in (1, rollouts):
            place = f"rollout {row['step']}/{rollouts}" if rollouts else f"update {row['step']}"
            print(f"{place}  {note(row)}", file=sys.stderr, flush=True)

    yield line


@contextmanager
def grid_progress(rollouts: dict[str, int]) -> Iterator[Callable[[dict[str, int]], None]]:
    """A callback for the rollouts that each run of a grid has done."""
    if sys.stderr.isatty():
        with bars() as progress:
            tasks = {name: progress.add_task(name, total=total, note="") for name, total in rollouts.items()}

            def update(done: dict[str, int]) -> None:
                for name, count in done.items():
                    progress.update(tasks[name], completed=count)

            yield update
        return
    seen: set[str] = set()

    def lines(done: dict[str, int]) -> None:
        for name, count in done.items():
            if count == rollouts[name] and name not in seen:
                seen.add(name)
                print(f"[{len(seen)}/{len(rollouts)}] {name}: {count} rollouts", file=sys.stderr, flush=True)

    yield lines


@contextmanager
def layer_progress(doing: str) -> Iterator[Callable[[str, int, int], None]]:
    """A callback for (layer, its number, how many) when its turn comes."""
    if sys.stderr.isatty():
        with bars() as progress:
            task = progress.add_task(doing, total=None, note="")
            yield lambda name, number, total: progress.update(task, completed=number - 1, total=total, note=name)
        return
    yield lambda name, number, total: print(f"[{number}/{total}] {name}", file=sys.stderr, flush=True)


@contextmanager
def sample_progress(name: str) -> Iterator[Callable[[int, int], None]]:
    """A callback for the samples that an evaluation has drawn, of how many."""
    if sys.stderr.isatty():
        with bars() as progress:
            task = progress.add_task(name, total=None, note="samples")
            yield lambda done, total: progress.update(task, completed=done, total=total)
        return
    tenth = 0

    def line(done: int, total: int) -> None:
        nonlocal tenth
        if 10 * done // total > tenth:
            tenth = 10 * done // total
            print(f"{name}: {done}/{total} samples", file=sys.stderr, flush=True)

    yield line
