"""Cells in processes of this machine, several at a time."""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from ..artifacts import RUNS
from ..errors import UserError
from ..quiet import quiet
from ..recipe import Recipe
from .cells import base_path, base_samples, bases_to_measure, one_run
from .environment import environment, limits
from .failed import Book, base_failed, killed
from .words import speak_into, words_of_workers

POLL_SECONDS = 1.0
Report = Callable[[Mapping[str, int]], None]
Work = Callable[[Recipe, Path, Path | None], None]  # on a cell: its recipe, its run, the file of its base's samples


@dataclass(frozen=True)
class Job:
    """A cell to train, or with no name a base to measure, which lies in that file afterwards."""

    name: str
    recipe: Recipe
    base: Path | None
    work: Work = one_run


def in_processes(
    todo: Mapping[str, Recipe],
    out: Path,
    jobs: int,
    say: Callable[[str], None],
    book: Book,
    report: Report,
    work: Work = one_run,
) -> None:
    """Do a work on the cells in `out/runs/NAME`, `jobs` at a time; those that fail are in the book, the rest go on."""
    with worker_slots(min(jobs, len(todo)), say) as slots:
        run_cells(slots, todo, out, book, report, dict.fromkeys(todo, work))


@contextmanager
def worker_slots(jobs: int, say: Callable[[str], None]) -> Iterator[list[Slot]]:
    """Room for so many cells at once, for as long as the block lasts; whatever ends it ends their processes."""
    with words_of_workers(say) as words:
        slots = [Slot(words) for _ in range(jobs)]
        try:
            yield slots
        except BaseException:
            for worker in multiprocessing.active_children():
                worker.terminate()
            raise
        finally:
            for slot in slots:
                slot.end()


def run_cells(
    slots: list[Slot], todo: Mapping[str, Recipe], out: Path, book: Book, report: Report, works: Mapping[str, Work]
) -> None:
    """Each cell's work, those of one base once that is measured; the slots are free again afterwards."""
    LocalCells(todo, out, slots, book, works).run(report)


class Slot:
    """A process that does one job after another on as many threads; after one that failed it is a fresh one."""

    def __init__(self, words: Connection) -> None:
        self.words = words
        self.pool: ProcessPoolExecutor | None = None
        self.threads = 0
        self.job: Job | None = None
        self.future: Future[None] | None = None

    def begin(self, threads: int) -> ProcessPoolExecutor:
        """Room for a process on so many threads, which starts with what it is given first."""
        if threads != self.threads:
            self.end()
        if self.pool is None:
            # spawned, not forked: torch's threads do not survive a fork
            spawned = multiprocessing.get_context("spawn")
            self.pool = ProcessPoolExecutor(1, spawned, begin_worker, (self.words,))
        self.threads = threads
        return self.pool

    def wake(self, threads: int) -> None:
        """Start the process already, which takes seconds to import what a cell needs: its job is still to come."""
        if self.pool is None:
            with environment(**limits(threads)), interrupts_wait():
                self.begin(threads).submit(awake)

    def give(self, job: Job, out: Path) -> None:
        """Begin a job."""
        pool = self.begin(job.recipe.run.threads)
        self.job = job
        try:
            self.future = submitted(pool, job, out)
        except BrokenProcessPool:  # it was ended from outside while it had nothing to do
            self.end()
            self.give(job, out)

    def result(self) -> UserError | None:
        """What the job failed with, if it did; then there is room for another one."""
        assert self.future is not None
        error, self.future, self.job = self.future.exception(), None, None
        if error is None:
            return None
        self.end()
        if isinstance(error, UserError):
            return error
        if isinstance(error, BrokenProcessPool):
            return killed()
        raise error

    def end(self) -> None:
        """Let the process go once it has no work."""
        if self.pool is not None:
            self.pool.shutdown(wait=False, cancel_futures=True)
            self.pool = None


def submitted(pool: ProcessPoolExecutor, job: Job, out: Path) -> Future[None]:
    """A job, given to a process, which starts with its first one."""
    with environment(**limits(job.recipe.run.threads)), interrupts_wait():
        if job.name:
            return pool.submit(job.work, job.recipe, out / RUNS / job.name, job.base)
        assert job.base is not None
        return pool.submit(base_samples, job.recipe, job.base)


@contextmanager
def interrupts_wait() -> Iterator[None]:
    """A block in which Ctrl-C waits; a process that starts in it is deaf to it until it knows what to do."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class LocalCells:
    """The jobs that wait, and the slots that work on them."""

    def __init__(
        self, todo: Mapping[str, Recipe], out: Path, slots: list[Slot], book: Book, works: Mapping[str, Work]
    ) -> None:
        self.out, self.slots, self.book = out, slots, book
        bases = bases_to_measure(todo, out)
        cells = [Job(name, recipe, base_path(recipe, out), works[name]) for name, recipe in todo.items()]
        self.waiting = deque([*(Job("", recipe, path) for path, recipe in bases.items()), *cells])
        self.unmeasured = set(bases)

    def run(self, report: Report) -> None:
        """Work off all of them."""
        while self.waiting or self.going():
            for slot in self.slots:
                if slot.job is None and (job := self.next_for(slot)) is not None:
                    if job.name:
                        self.book.begin(job.name)
                    slot.give(job, self.out)
                elif slot.job is None and self.waiting:  # for a base that another one measures
                    slot.wake(self.waiting[0].recipe.run.threads)
            wait([slot.future for slot in self.going() if slot.future is not None], POLL_SECONDS, FIRST_COMPLETED)
            for slot in self.going():
                if slot.future is not None and slot.future.done():
                    self.ended(slot)
            report({slot.job.name: 0 for slot in self.going() if slot.job is not None and slot.job.name})

    def going(self) -> list[Slot]:
        """The slots that have a job."""
        return [slot for slot in self.slots if slot.job is not None]

    def next_for(self, slot: Slot) -> Job | None:
        """A job whose base is known, if there is one: the first that the slot's process has the threads for."""
        ready = [job for job in self.waiting if not job.name or job.base not in self.unmeasured]
        same = [job for job in ready if job.recipe.run.threads == slot.threads]
        found = next(iter(same or ready), None)
        if found is not None:
            self.waiting.remove(found)
        return found

    def ended(self, slot: Slot) -> None:
        """A job has ended; the cells of a base that could not be measured fail with it."""
        job = slot.job
        assert job is not None
        error = slot.result()
        if job.name:
            if error is not None:
                self.book.fail(job.name, error)
            return
        assert job.base is not None
        self.unmeasured.discard(job.base)
        if error is not None:
            lost = [cell for cell in self.waiting if cell.base == job.base]
            for cell in lost:
                self.waiting.remove(cell)
                self.book.fail(cell.name, base_failed(error))


def awake() -> None:
    """What a process does that waits for its first job: by then it has imported this module, and all that it needs."""


def begin_worker(words: Connection) -> None:
    """A worker leaves Ctrl-C and speaking to the parent, which ends it, and ends itself when the parent is gone."""
    speak_into(words)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
    quiet()
