"""A grid → run directories, in worker processes; finished runs are skipped."""

from __future__ import annotations

import hashlib
import multiprocessing
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from pathlib import Path

from .artifacts import BASES, GRID, METRICS, RUNS, read_jsonl, refuse_existing, writable, write_text
from .errors import UserError
from .evaluate import Sample
from .grid import Grid
from .quiet import quiet
from .recipe import Recipe
from .training.run import BaseSamples, check_names, finished, measure_base, train, write_samples

POLL_SECONDS = 1.0


def compare(
    grid: Grid,
    out: Path,
    *,
    resume: bool = False,
    jobs: int = 1,
    on_progress: Callable[[dict[str, int]], None] = lambda done: None,
) -> None:
    """Run every recipe of a grid into `out/runs/NAME`, `jobs` at a time; each base model is evaluated once.

    `on_progress` is called every second with the rollouts that each run has done.
    """
    for recipe in grid.runs.values():
        check_names(recipe)
    if not resume:
        refuse_existing(out, "give another --out, --force to replace it, or --resume to do what is missing")
    elif (out / GRID).is_file() and (out / GRID).read_text() != grid.source:
        raise UserError(
            f"{out} was started with another grid",
            "runs of two grids in one table would not be comparable",
            "give the same grid, or another --out",
        )
    writable(out).mkdir(parents=True, exist_ok=True)
    write_text(out / GRID, grid.source)
    (out / RUNS).mkdir(exist_ok=True)
    (out / BASES).mkdir(exist_ok=True)
    todo = {name: recipe for name, recipe in grid.runs.items() if not finished(out / RUNS / name)}
    # spawned, not forked: torch's threads do not survive a fork
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn"), initializer=quiet) as pool:
        try:
            bases = {
                base_key(recipe): pool.submit(base_samples, recipe, out / BASES / f"{base_key(recipe)}.jsonl")
                for recipe in todo.values()
            }
            found = {key: future.result() for key, future in bases.items()}
            pending = {
                pool.submit(one_run, recipe, out / RUNS / name, found[base_key(recipe)]): name
                for name, recipe in todo.items()
            }
            follow(pending, out, grid, on_progress)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def follow(
    pending: dict[Future[None], str], out: Path, grid: Grid, on_progress: Callable[[dict[str, int]], None]
) -> None:
    """Report progress until all runs have ended; the first failure is raised."""
    left = set(pending)
    while left:
        done, left = wait(left, timeout=POLL_SECONDS, return_when=FIRST_COMPLETED)
        for future in done:
            future.result()
        on_progress({name: rollouts_done(out / RUNS / name) for name in grid.runs})


def rollouts_done(run: Path) -> int:
    """Rows of a run's metrics so far."""
    path = run / METRICS
    return path.read_bytes().count(b"\n") if path.is_file() else 0


def base_key(recipe: Recipe) -> str:
    """A name for everything that the samples of the base model depend on."""
    settings = (recipe.model, recipe.eval, recipe.rollout.max_completion_tokens, recipe.run.threads)
    return hashlib.sha256(repr(settings).encode()).hexdigest()[:12]


def base_samples(recipe: Recipe, path: Path) -> BaseSamples:
    """The base model's graded samples, read from an earlier run's file or drawn now."""
    if path.is_file():
        found: BaseSamples = {}
        for row in read_jsonl(path):
            row.pop("when")
            found.setdefault(row["task"], []).append(Sample(**row))
        return found
    drawn = measure_base(recipe)
    write_samples(path, {"before": drawn})
    return drawn


def one_run(recipe: Recipe, out: Path, base: BaseSamples) -> None:
    """One recipe, in a worker."""
    train(recipe, out, resume=True, base=base)
