"""A progress bar on a terminal, plain lines anywhere else, and never a long silence."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.constrain import Constrain
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Column

PLAIN_EVERY = 10  # rollouts between two plain lines of a run
SILENCE = 30.0  # seconds of work without a line, off a terminal
REMARKS = ("warning:", "note:")  # lines that say nothing of what is going on
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


class Heartbeat:
    """Says what is going on, and since when, wherever nothing else was said for `SILENCE` seconds; a block of work.

    What one rollout, one batch or one layer takes is not known before, so that it is a thread that looks at the clock.
    """

    def __init__(self, doing: str) -> None:
        self.doing = doing
        self._began = self._spoke = time.monotonic()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)

    def __enter__(self) -> Heartbeat:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join()

    @property
    def is_due(self) -> bool:
        """Whether a line should be said that can wait otherwise."""
        return time.monotonic() - self._spoke >= SILENCE

    def at(self, doing: str) -> None:
        """What is going on from now on; nothing is said of it yet."""
        self.doing, self._began = doing, time.monotonic()

    def say(self, line: str) -> None:
        """A line of words, to `sys.stderr` as it is now; unless it is a remark, that is what is going on."""
        self._spoke = time.monotonic()
        print(line, file=sys.stderr, flush=True)
        if not line.startswith(REMARKS):
            self.at(line)

    def _beat(self) -> None:
        while not self._over.wait(min(1.0, SILENCE / 4)):
            if self.is_due:
                self._spoke = time.monotonic()
                print(f"{self.doing}, {clock(self._spoke - self._began)}", file=sys.stderr, flush=True)


def clock(seconds: float) -> str:
    """1:05 for 65 seconds, 2:00:00 for two hours."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


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
def run_progress(rollouts: int | None) -> Iterator[tuple[Callable[[dict[str, Any]], None], Callable[[str], None]]]:
    """Callbacks for one run's metric rows and words; of supervised training the number of updates is not known."""
    note = RunNote()
    if sys.stderr.isatty():
        with bars() as progress:
            task = progress.add_task("train", total=rollouts, note="")
            yield lambda row: progress.update(task, completed=row["step"], note=note.of(row)), print_words
        return
    if os.environ.get("RANK", "0") != "0":  # of a launch with several processes, whose first one speaks
        yield lambda row: None, print_words
        return

    def place(step: int) -> str:
        return f"rollout {step}/{rollouts}" if rollouts else f"update {step}"

    with Heartbeat("loading the model and the rows") as heart:

        def line(row: dict[str, Any]) -> None:
            step, words = row["step"], note.of(row)
            if step % PLAIN_EVERY == 0 or step in (1, rollouts) or heart.is_due:
                heart.say(f"{place(step)}  {words}")
            heart.at("after the last rollout" if step == rollouts else f"{place(step + 1)} under way")

        yield line, heart.say


def print_words(line: str) -> None:
    """A line of words, to `sys.stderr` as it is now: while a bar is drawn it is the bar's."""
    print(line, file=sys.stderr, flush=True)


@contextmanager
def grid_progress(rollouts: Mapping[str, int]) -> Iterator[Callable[[dict[str, int]], None]]:
    """A callback for the rollouts that each run of a grid has done: a bar of all runs, and of each that goes on."""
    if sys.stderr.isatty():
        with bars() as progress:
            yield GridBars(progress, rollouts).update
        return
    seen: set[str] = set()
    with Heartbeat("looking at every run before the first, and measuring the base") as heart:

        def lines(done: dict[str, int]) -> None:
            going = [f"{name} {count}/{rollouts[name]}" for name, count in done.items() if 0 < count < rollouts[name]]
            for name, count in done.items():
                if count == rollouts[name] and name not in seen:
                    seen.add(name)
                    heart.say(f"[{len(seen)}/{len(rollouts)}] {name}")
            heart.doing = ", ".join([f"{len(seen)} of {len(rollouts)} runs are done", *going[:BARS]])

        yield lines


@contextmanager
def working(doing: str) -> Iterator[Callable[[str], None]]:
    """A callback for the words of work that has no bar, on a terminal too."""
    with Heartbeat(doing) as heart:
        yield heart.say


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
    with Heartbeat(doing) as heart:
        yield lambda name, number, total: heart.say(f"[{number}/{total}] {name}")


@contextmanager
def sample_progress(name: str) -> Iterator[Callable[[int, int], None]]:
    """A callback for the samples that an evaluation has drawn, of how many."""
    if sys.stderr.isatty():
        with bars() as progress:
            task = progress.add_task(name, total=None, note="samples")
            yield lambda done, total: progress.update(task, completed=done, total=total)
        return
    tenth = 0
    with Heartbeat(name) as heart:

        def line(done: int, total: int) -> None:
            nonlocal tenth
            words = f"{name}: {done}/{total} samples"
            if 10 * done // total > tenth or heart.is_due:
                tenth = 10 * done // total
                heart.say(words)
            heart.at(words)

        yield line
