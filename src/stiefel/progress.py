"""A progress bar on a terminal, plain lines anywhere else."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.constrain import Constrain
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Column

PLAIN_EVERY = 10  # rollouts between two plain lines of a run
BARS = 12  # runs of a grid that have a bar of their own at a time
NARROW, NAME = 90, 32  # columns of a terminal that is narrow, and of a bar's name where it is not


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


@dataclass(frozen=True)
class Short:
    """What leaves the last columns free, where a terminal writes ^C: a full line would go on in the next one."""

    content: RenderableType

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Constrain(self.content, options.max_width - len("^C "))


class Bars(Progress):
    """Bars in lines that are not full."""

    def get_renderables(self) -> Iterable[RenderableType]:
        """One table of all bars."""
        yield Short(self.make_tasks_table(self.tasks))


def bars() -> Progress:
    """Bars on stderr, a line each at any width, that vanish when they are done.

    What is printed to `sys.stderr` meanwhile stands above them.
    """
    console = Console(stderr=True)
    narrow = console.width < NARROW
    return Bars(
        TextColumn(
            "{task.description}",
            markup=False,
            table_column=Column(
                no_wrap=True, overflow="ellipsis", max_width=console.width * 2 // 5 if narrow else NAME
            ),
        ),
        BarColumn(bar_width=5 if narrow else 30),
        MofNCompleteColumn(table_column=Column(no_wrap=True)),
        TimeRemainingColumn(compact=True, table_column=Column(no_wrap=True)),
        TextColumn(
            "{task.fields[note]}",
            markup=False,
            table_column=Column(no_wrap=True, overflow="ellipsis", ratio=1),
        ),
        console=console,
        transient=True,
        expand=True,
    )


class RunNote:
    """What is said of a run beside its bar: the reward of its last rollout, and the KL to the base when last measured.

    And the share of its completions that were cut off, where some were.

    The KL of a rollout's own policies is not: it is 0 wherever a rollout is one update.
    """

    def __init__(self) -> None:
        self.kl = ""

    def of(self, row: Mapping[str, Any]) -> str:
        """The words for a row of the metrics."""
        if "loss" in row:
            return f"loss {row['loss']:.3f}"
        if "kl_base" in row:
            self.kl = f"  KL to base {row['kl_base']:.1e}"
        reward = f"{row['reward']:.3f}" if "reward" in row else "none"  # no gold of the rollout could be read
        share = row.get("truncated_fraction", 0.0)
        cut = f"  truncated {100 * share:.0f}%" if share else ""
        return f"reward {reward}{self.kl}{cut}"


@contextmanager
def run_progress(rollouts: int | None) -> Iterator[Callable[[dict[str, Any]], None]]:
    """A callback for one run's metric rows; of supervised training the number of updates is not known before."""
    note = RunNote()
    if sys.stderr.isatty():
        with bars() as progress:
            task = progress.add_task("train", total=rollouts, note="")
            yield lambda row: progress.update(task, completed=row["step"], note=note.of(row))
        return

    def line(row: dict[str, Any]) -> None:
        words = note.of(row)
        if row["step"] % PLAIN_EVERY == 0 or row["step"] in (1, rollouts):
            place = f"rollout {row['step']}/{rollouts}" if rollouts else f"update {row['step']}"
            print(f"{place}  {words}", file=sys.stderr, flush=True)

    yield line


@contextmanager
def grid_progress(rollouts: Mapping[str, int]) -> Iterator[Callable[[dict[str, int]], None]]:
    """A callback for the rollouts that each run of a grid has done: a bar of all runs, and of each that goes on."""
    if sys.stderr.isatty():
        with bars() as progress:
            yield GridBars(progress, rollouts).update
        return
    seen: set[str] = set()

    def lines(done: dict[str, int]) -> None:
        for name, count in done.items():
            if count == rollouts[name] and name not in seen:
                seen.add(name)
                print(f"[{len(seen)}/{len(rollouts)}] {name}", file=sys.stderr, flush=True)

    yield lines


class GridBars:
    """The bars of a grid: one of all its runs, and those of the runs that are under way.

    However many runs there are, no more lines are drawn than stand on a screen.
    """

    def __init__(self, progress: Progress, rollouts: Mapping[str, int]) -> None:
        self.progress, self.rollouts = progress, rollouts
        self.total = progress.add_task("all runs", total=len(rollouts), note="")
        self.most = max(1, min(BARS, progress.console.height - 4))
        self.shown: dict[str, TaskID] = {}

    def update(self, done: dict[str, int]) -> None:
        """The rollouts that each run has done by now; a run under way counts for its part."""
        self.progress.update(self.total, completed=sum(done[name] / total for name, total in self.rollouts.items()))
        going = [name for name, count in done.items() if 0 < count < self.rollouts[name]][: self.most]
        for name in [name for name in self.shown if name not in going]:
            self.progress.remove_task(self.shown.pop(name))
        for name in going:
            if name not in self.shown:
                self.shown[name] = self.progress.add_task(name, total=self.rollouts[name], note="")
            self.progress.update(self.shown[name], completed=done[name])


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
