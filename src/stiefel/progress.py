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
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.progress_bar import ProgressBar
from rich.table import Column, Table
from rich.text import Text

PLAIN_EVERY = 10  # rollouts between two plain lines of a run
SILENCE = 30.0  # seconds of work without a line, off a terminal
REMARKS = ("warning:", "note:")  # lines that say nothing of what is going on
BARS = 12  # runs of a grid that a plain line names as going on
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


GOING, FAILED, WAITING, DONE = "going", "failed", "waiting", "done"


@dataclass(frozen=True)
class RunState:
    """How a run of a grid stands: a word (of one that ended otherwise its manifest's), rollouts, the last reward."""

    word: str
    done: int
    total: int
    reward: float | None = None
    why: str = ""

    @property
    def share(self) -> float:
        """What is done of it."""
        return self.done / self.total

    @property
    def rollouts(self) -> str:
        """`12/60`."""
        return f"{self.done}/{self.total}"

    @property
    def is_over(self) -> bool:
        """Whether nothing more will be done of it."""
        return self.word not in (GOING, WAITING)


States = Mapping[str, RunState]


class TimeLeft:
    """What a grid will still take, by what it has done since it was first asked."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self.now = now
        self.first: tuple[float, float] | None = None  # when, and how much was done

    def words(self, states: States) -> str:
        """`, about 2:05 left`; nothing where it cannot be told yet, or nothing is left."""
        now, done = self.now(), sum(state.share for state in states.values())
        left = sum(1 - state.share for state in states.values() if not state.is_over)
        began, before = self.first = self.first or (now, done)
        return f", about {clock((now - began) * left / (done - before))} left" if left and done > before else ""


def tally(states: States) -> str:
    """`13/54 runs are done, 1 failed`."""
    failed = sum(state.word == FAILED for state in states.values())
    over = sum(state.is_over for state in states.values()) - failed
    return f"{over}/{len(states)} runs are done" + (f", {failed} failed" if failed else "")


@contextmanager
def grid_progress() -> Iterator[Callable[[States], None]]:
    """A callback for the states of a grid's runs: a table of them on a terminal, else a line for each that ends."""
    if sys.stderr.isatty():
        console = Console(stderr=True)
        table = GridTable()
        with Live(table, console=console, transient=True, refresh_per_second=4):
            yield table.update
        return
    seen: set[str] = set()
    left = TimeLeft()
    with Heartbeat("looking at every run before the first, and measuring the base") as heart:

        def lines(states: States) -> None:
            time_left = left.words(states)
            for name, state in states.items():
                if state.is_over and name not in seen:
                    seen.add(name)
                    failed = f" failed: {state.why}" if state.word == FAILED else ""
                    heart.say(f"[{len(seen)}/{len(states)}] {name}{failed}{time_left}")
            going = [f"{name} {state.rollouts}" for name, state in states.items() if state.word == GOING]
            heart.doing = ", ".join([tally(states), *going[:BARS]]) + time_left

        yield lines


class GridTable:
    """The runs of a grid, a line each, as many as stand on the screen: those that go on first, then those that failed.

    However many runs there are, no more lines are drawn than the screen has.
    """

    ORDER = (GOING, FAILED, WAITING)  # then what is over

    def __init__(self) -> None:
        self.states: States = {}
        self.left = TimeLeft()
        self.head = "looking at every run before the first, and measuring the base"

    def update(self, states: States) -> None:
        """The states of all runs by now."""
        self.head = tally(states) + self.left.words(states)
        self.states = states

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Short(Text(self.head, no_wrap=True, overflow="ellipsis"))
        shown = self.shown(max(1, console.height - 4))
        if shown:
            yield Short(self.table(shown, console.width))
        if hidden := len(self.states) - len(shown):
            yield Short(Text(f"and {hidden} more", no_wrap=True))

    def shown(self, lines: int) -> dict[str, RunState]:
        """The runs that have a line, in the grid's order."""
        rank = {word: number for number, word in enumerate(self.ORDER)}
        first = sorted(self.states, key=lambda name: rank.get(self.states[name].word, len(rank)))[:lines]
        return {name: state for name, state in self.states.items() if name in first}

    @staticmethod
    def table(shown: Mapping[str, RunState], width: int) -> Table:
        """The lines of these runs; on a narrow terminal without bars."""
        narrow = width < NARROW
        table = Table(box=None, pad_edge=False, show_header=False, expand=True)
        table.add_column(no_wrap=True, overflow="ellipsis", max_width=width * 2 // 5 if narrow else NAME)
        table.add_column(no_wrap=True, min_width=max(len(state.word) for state in shown.values()))
        if not narrow:
            table.add_column(no_wrap=True)
        table.add_column(no_wrap=True, min_width=max(len(state.rollouts) for state in shown.values()))
        table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
        for name, state in shown.items():
            reward = f"reward {state.reward:.3f}" if state.reward is not None else ""
            bar = [] if narrow else [ProgressBar(total=state.total, completed=state.done, width=12)]
            last = Text(" ".join(state.why.split()) or reward)
            table.add_row(Text(name), state.word, *bar, state.rollouts, last)
        return table


@contextmanager
def working(doing: str) -> Iterator[Callable[[str], None]]:
    """A callback for the words of work that has no bar, on a terminal too."""
    with Heartbeat(doing) as heart:
        yield heart.say


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
