"""A grid → run directories, in worker processes; finished runs are skipped."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import multiprocessing.connection
import os
import shutil
import signal
import threading
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from pathlib import Path

from ..artifacts import BASES, GRID, METRICS, RUNS, check_room, write_text
from ..errors import UserError
from ..model import model_files
from ..quiet import quiet
from ..recipe import Grid, Recipe
from ..run import (
    BEFORE,
    BaseSamples,
    Diverged,
    check_names,
    check_run,
    finished,
    measure_base,
    read_samples,
    same_recipe,
    sample_lines,
    status,
    train,
)

POLL_SECONDS = 1.0


def compare(
    grid: Grid,
    out: Path,
    *,
    resume: bool = False,
    force: bool = False,
    jobs: int = 1,
    on_progress: Callable[[dict[str, int]], None] = lambda done: None,
) -> None:
    """Run every recipe of a grid into `out/runs/NAME`, `jobs` at a time; each base model is evaluated once.

    What can be refused is refused before anything is written or removed. `on_progress` is called every second with the
    rollouts that each run has done. A run that diverges is noted in its manifest and does not stop the others.
    """
    for recipe in grid.runs.values():
        check_names(recipe, shared=True)
        check_run(recipe, out)
        model_files(recipe.model.path, recipe.model.revision)
    if resume and out.exists():
        require_same_grid(grid, out)
    else:
        check_room(out, force=force, kind="comparison")
        if out.is_dir():
            shutil.rmtree(out)
    for place in (out / RUNS, out / BASES):
        place.mkdir(parents=True, exist_ok=True)
    write_text(out / GRID, grid.source)
    todo = {name: recipe for name, recipe in grid.runs.items() if not finished(out / RUNS / name)}
    # spawned, not forked: torch's threads do not survive a fork
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn"), initializer=begin_worker) as pool:
        try:
            bases = {
                base_key(recipe): pool.submit(base_samples, recipe, out / BASES / f"{base_key(recipe)}.jsonl")
                for recipe in todo.values()
            }
            found = {key: future.result() for key, future in bases.items()}
            pending = {
                pool.submit(one_run, recipe, out / RUNS / name, found[base_key(recipe)])
                for name, recipe in todo.items()
            }
            follow(pending, out, grid, on_progress)
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


def begin_worker() -> None:
    """A worker leaves Ctrl-C to the parent, which ends it, and ends itself when the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
    quiet()


def require_same_grid(grid: Grid, out: Path) -> None:
    """Raise unless `out` holds runs of this grid alone, with these settings."""
    if not (out / GRID).is_file() or (out / GRID).read_text(encoding="utf-8") != grid.source:
        raise UserError(
            f"{out} was not started with this grid",
            "runs of two grids in one table would not be comparable",
            "give the same grid, or another --out",
        )
    for name, recipe in grid.runs.items():
        if status(out / RUNS / name):
            same_recipe(recipe, out / RUNS / name)


def follow(pending: set[Future[None]], out: Path, grid: Grid, on_progress: Callable[[dict[str, int]], None]) -> None:
    """Report progress until all runs have ended; the first failure is raised."""
    left = pending
    while left:
        done, left = wait(left, timeout=POLL_SECONDS, return_when=FIRST_COMPLETED)
        for future in done:
            future.result()
        on_progress({name: rollouts_done(out / RUNS / name) for name in grid.runs})


def rollouts_done(run: Path) -> int:
    """The rollout that a run has last written metrics of."""
    path = run / METRICS
    last = path.read_bytes().splitlines()[-1:] if path.is_file() else []
    try:
        return int(json.loads(last[0])["step"]) if last else 0
    except json.JSONDecodeError:  # read while it is being written
        return 0


def base_key(recipe: Recipe) -> str:
    """A name for everything that the samples of the base model depend on."""
    task = recipe.task
    # a task of reasoning-gym is measured with the options, and shown, as it is trained
    questions = (task.name if task.options else "", task.options, task.mixture, task.chat)
    settings = (recipe.model, recipe.eval, recipe.rollout.max_completion_tokens, recipe.run.threads, questions)
    return hashlib.sha256(repr(settings).encode()).hexdigest()[:12]


def base_samples(recipe: Recipe, path: Path) -> BaseSamples:
    """The base model's graded samples, read from an earlier run's file or drawn now."""
    if path.is_file():
        return read_samples(path).get(BEFORE, {})
    drawn = measure_base(recipe)
    write_text(path, sample_lines(BEFORE, drawn))
    return drawn


def one_run(recipe: Recipe, out: Path, base: BaseSamples) -> None:
    """One recipe, in a worker."""
    with suppress(Diverged):
        train(recipe, out, resume=True, base=base, shared=True)
