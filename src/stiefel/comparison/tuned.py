"""Cells that have ended, their test left out → the best rate of each method by validation, and its test scores."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from pathlib import Path

from ..artifacts import RATES, RUNS, VALIDATION, read_json, write_json
from ..recipe import TUNED, Grid, Recipe
from ..run import BEFORE, finished, measure_test, of_the_test, read_samples, status, test_is_measured
from .failed import Book, in_words
from .local import in_processes
from .rates import key


def settle(grid: Grid, out: Path, jobs: int, say: Callable[[str], None], book: Book) -> None:
    """Choose the rates of a grid with rate = "tuned", write them down, and measure the chosen cells' test.

    Nothing of another grid. A cell that diverged counts as 0; a method of which a cell has failed is left until it has
    ended, since its choice could be another then. The choice is written before anything of the test is asked for; who
    comes after a kill chooses the same, and goes on. On this machine, `jobs` cells at a time.
    """
    if not grid.tuned:
        return
    scores = {name: validation_score(out / RUNS / name) for name in grid.runs}
    waiting = {key(recipe): name for name, recipe in grid.runs.items() if not finished(out / RUNS / name)}
    for name in waiting.values():
        say(f"no rate is chosen yet among the runs that differ from {name} in rate and seed alone: it has not ended")
    settled = {name: recipe for name, recipe in grid.runs.items() if key(recipe) not in waiting}
    chosen = best_rates(settled, scores)
    write_json(out / RATES, {"rate": TUNED, "validation": scores, "chosen": chosen})
    for name in chosen:
        say(f"chosen by validation: {name}, {scores[name]:.3f}")
    measure_chosen({name: grid.runs[name] for name in chosen}, out, jobs, say, book)


def validation_score(run: Path) -> float:
    """The mean on the run's validation split after training; 0 where it has none, as one that diverged."""
    if status(run) != "finished" or not (run / VALIDATION).is_file():
        return 0.0
    return statistics.fmean(float(found["after"]["mean"]) for found in read_json(run / VALIDATION).values())


def best_rates(runs: Mapping[str, Recipe], scores: Mapping[str, float]) -> list[str]:
    """The cells of each group at its best rate, by the mean over its seeds; of equal ones at the smallest."""
    groups: dict[str, dict[float, list[str]]] = {}
    for name, recipe in runs.items():
        groups.setdefault(key(recipe), {}).setdefault(recipe.optim.lr, []).append(name)
    chosen = []
    for rates in groups.values():
        mean = {lr: statistics.fmean(scores[name] for name in names) for lr, names in rates.items()}
        chosen += rates[max(sorted(mean), key=lambda lr: mean[lr])]
    return [name for name in runs if name in chosen]


def measure_chosen(chosen: dict[str, Recipe], out: Path, jobs: int, say: Callable[[str], None], book: Book) -> None:
    """Measure the test of these cells, each base once; one that ended otherwise has none."""
    todo = {}
    for name, recipe in chosen.items():
        if status(out / RUNS / name) != "finished":
            say(f"{name} has no test scores: it did not finish")
        elif not test_is_measured(out / RUNS / name):
            todo[name] = of_the_test(recipe)
    in_processes(todo, out, jobs, say, book, lambda going: None, one_test)


def one_test(recipe: Recipe, run: Path, base: Path | None) -> None:
    """One cell's test, in a worker, whose words the parent says."""
    with in_words():
        samples = read_samples(base).get(BEFORE, {}) if base is not None else None
        measure_test(run, base=samples, progress=lambda line: print(f"{run.name}: {line}", flush=True))
