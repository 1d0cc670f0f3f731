"""Cells in processes of this machine, several at a time."""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

from ..artifacts import BASES, RUNS
from ..errors import UserError
from ..quiet import quiet
from ..recipe import Recipe
from .cells import base_key, base_samples, one_run
from .words import speak_into, words_of_workers

POLL_SECONDS = 1.0


Failed = Callable[[str, Exception], None]  # told the name of a run that failed, and why


def in_processes(
    todo: dict[str, Recipe], out: Path, jobs: int, say: Callable[[str], None], every_second: Callable[[], None]
) -> None:
    """Run the cells into `out/runs/NAME`, `jobs` at a time; the first failure ends all of them and is raised."""
    with worker_pool(jobs, say) as pool:
        run_cells(pool, todo, out, every_second)


@contextmanager
def worker_pool(jobs: int, say: Callable[[str], None]) -> Iterator[ProcessPoolExecutor]:
    """Processes for cells, for as long as the block lasts; whatever ends it ends them."""
    # spawned, not forked: torch's threads do not survive a fork
    spawned = multiprocessing.get_context("spawn")
    with words_of_workers(say) as words, ProcessPoolExecutor(jobs, spawned, begin_worker, (words,)) as pool:
        try:
            yield pool
        except BrokenProcessPool as error:
            raise UserError(
                "a worker process was ended from outside",
                "most often the machine ran out of memory",
                "--jobs 1 --resume",
            ) from error
        except BaseException:
            for worker in multiprocessing.active_children():
                worker.terminate()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def run_cells(
    pool: ProcessPoolExecutor,
    todo: Mapping[str, Recipe],
    out: Path,
    every_second: Callable[[], None],
    *,
    until: Mapping[str, int] | None = None,
    failed: Failed | None = None,
) -> None:
    """Run the cells, each base model measured once before; those named in `until` halt after that rollout.

    The first failure is raised, unless there is somebody to tell: then the others go on.
    """
    halts = until or {}
    bases = {
        base_key(recipe): pool.submit(base_samples, recipe, out / BASES / f"{base_key(recipe)}.jsonl")
        for recipe in todo.values()
    }
    found = {key: future.result() for key, future in bases.items()}
    pending = {
        pool.submit(one_run, recipe, out / RUNS / name, found[base_key(recipe)], halts.get(name)): name
        for name, recipe in todo.items()
    }
    follow(pending, every_second, failed)


def begin_worker(words: Connection) -> None:
    """A worker leaves Ctrl-C and speaking to the parent, which ends it, and ends itself when the parent is gone."""
    speak_into(words)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
    quiet()


def follow(pending: Mapping[Future[None], str], every_second: Callable[[], None], failed: Failed | None) -> None:
    """Wait until all runs have ended; a failure is told, or raised where there is nobody to tell."""
    left = set(pending)
    while left:
        done, left = wait(left, timeout=POLL_SECONDS, return_when=FIRST_COMPLETED)
        for future in done:
            error = future.exception()
            if failed is not None and isinstance(error, Exception) and not isinstance(error, BrokenProcessPool):
                failed(pending[future], error)
            else:
                future.result()
        every_second()
