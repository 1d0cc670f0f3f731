"""A grid → run directories, in worker processes; finished runs are skipped."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import multiprocessing.connection
import os
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from pathlib import Path

from ..artifacts import BASES, GRID, METRICS, RUNS, check_room, write_text
from ..errors import UserError
from ..memory import forget_peak
from ..model import model_files
from ..quiet import quiet
from ..recipe import Grid, Recipe
from ..run import (
    BEFORE,
    BaseSamples,
    Diverged,
    finished,
    measure_base,
    read_samples,
    rehearse,
    same_recipe,
    sample_lines,
    status,
    train,
)
from .words import speak_into, words_of_workers

POLL_SECONDS = 1.0


def print_error(line: str) -> None:
    """Say a line where no result stands."""
    print(line, file=sys.stderr, flush=True)


def compare(
    grid: Grid,
    out: Path,
    *,
    resume: bool = False,
    force: bool = False,
    jobs: int = 1,
    say: Callable[[str], None] = print_error,
    on_progress: Callable[[dict[str, int]], None] = lambda done: None,
) -> None:
    """Run every recipe of a grid into `out/runs/NAME`, `jobs` at a time; each base model is evaluated once.

    What can be refused is refused before anything is written or removed. `on_progress` is called every second with the
    rollouts that each run has done, `say` with what the workers print. A run that diverges is noted in its manifest and
    does not stop the others.
    """
    done: set[str] = set()
    for name, recipe in grid.runs.items():
        with named(name):
            model_files(recipe.model.path, recipe.model.revision)
            rehearse(recipe, out, done)
    if resume and out.exists():
        require_same_grid(grid, out)
    else:
        if resume:
            say(f"{out} holds no comparison to go on with: beginning a new one")
        check_room(out, force=force, kind="comparison")
        if out.is_dir():
            shutil.rmtree(out)
    for place in (out / RUNS, out / BASES):
        place.mkdir(parents=True, exist_ok=True)
    write_text(out / GRID, grid.source)
    todo = {name: recipe for name, recipe in grid.runs.items() if not finished(out / RUNS / name)}
    # spawned, not forked: torch's threads do not survive a fork
    spawned = multiprocessing.get_context("spawn")
    with words_of_workers(say) as words, ProcessPoolExecutor(jobs, spawned, begin_worker, (words,)) as pool:
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


@contextmanager
def named(run: str) -> Iterator[None]:
    """A block whose error says which run of the grid it is about."""
    try:
        yield
    except UserError as error:
        raise UserError(f"{run}: {error.what}", error.why, error.instead) from error


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


def require_same_grid(grid: Grid, out: Path) -> None:
    """Raise unless `out` holds runs of this grid alone, with these settings."""
    if not (out / GRID).is_file() or (out / GRID).read_text(encoding="utf-8") != grid.source:
        raise UserError(
            f"{out} was not started with this grid",
            "runs of two grids in one table would not be comparable",
            "give the same grid, or another --out; --force begins again in its place",
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
        on_progress({name: rollouts_done(recipe, out / RUNS / name) for name, recipe in grid.runs.items()})


def rollouts_done(recipe: Recipe, run: Path) -> int:
    """The rollout that a run has last written metrics of; all of them where it has ended, diverged or not.

    Supervised training has none, and its updates are not known before: it has done nothing until it has ended.
    """
    if finished(run):
        return recipe.optim.rollouts
    if recipe.algorithm.name == "sft":
        return 0
    path = run / METRICS
    last = path.read_bytes().splitlines()[-1:] if path.is_file() else []
    try:
        return min(int(json.loads(last[0])["step"]), recipe.optim.rollouts - 1) if last else 0
    except json.JSONDecodeError:  # read while it is being written
        return 0


def base_key(recipe: Recipe) -> str:
    """A name for everything that the samples of the base model depend on; a key with its default adds nothing."""
    model, measured = (section.model_dump(exclude_defaults=True) for section in (recipe.model, recipe.eval))
    settings = [model, measured, recipe.rollout.max_completion_tokens, recipe.run.threads]
    settings += [recipe.rollout.engine] if recipe.rollout.engine != "hf" else []
    task = recipe.task
    if (task.data or task.heldout) and task.name in recipe.eval.tasks:  # by rows of its own
        asked = task.model_dump(exclude_defaults=True)
    else:  # a task of reasoning-gym is measured with the options, and shown, as it is trained
        asked = task.model_dump(include={"options", "mixture", "chat"}, exclude_defaults=True)
    settings += [asked] if asked else []
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:12]


def base_samples(recipe: Recipe, path: Path) -> BaseSamples | None:
    """The base model's graded samples, read from an earlier run's file or drawn now.

    None where the run's engine writes them: before and after training the same one.
    """
    if recipe.rollout.engine == "vllm" and recipe.algorithm.name != "sft":
        return None
    if path.is_file():
        return read_samples(path).get(BEFORE, {})
    drawn = measure_base(recipe)
    write_text(path, sample_lines(BEFORE, drawn))
    return drawn


def one_run(recipe: Recipe, out: Path, base: BaseSamples | None) -> None:
    """One recipe, in a worker, which may have done others before."""
    forget_peak()
    with suppress(Diverged):
        train(recipe, out, resume=True, base=base, shared=True)
