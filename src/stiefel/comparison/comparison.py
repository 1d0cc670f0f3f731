"""A grid → run directories, by whatever runs its cells; finished runs are skipped."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from ..alone import Alone
from ..artifacts import BASES, GRID, RUNS, check_room, room_for, write_text
from ..errors import UserError
from ..model import model_files
from ..progress import States
from ..recipe import UNTRAINED, Grid, Recipe
from ..run import finished, not_applicable, rehearse
from .failed import Book
from .grown import as_begun_in
from .jobs import crowded, jobs_that_fit
from .local import Report, in_processes
from .mirror import sweep
from .rates import keep_rates, kept_rates, rated, with_rates
from .ray_cells import RayCells
from .ray_cluster import asked, machines, ray_cluster, require_resources, require_software
from .states import Watch
from .tuned import settle

RunCells = Callable[[dict[str, Recipe], Book, Report], None]


def print_error(line: str) -> None:
    """Say a line where no result stands."""
    print(line, file=sys.stderr, flush=True)


def compare(
    grid: Grid,
    out: Path,
    *,
    resume: bool = False,
    force: bool = False,
    jobs: int | None = None,
    backend: str = "local",
    address: str = "",
    say: Callable[[str], None] = print_error,
    on_progress: Callable[[States], None] = lambda states: None,
) -> dict[str, UserError]:
    """Run every recipe of a grid into `out/runs/NAME`; each base model is evaluated once.

    `local` runs `jobs` at a time in processes of this machine, as many as the cores have room for if it is left open;
    `ray` on the cluster at an address, or on one of this machine, as many at a time as there is room for. What can be
    refused is refused before anything is written or removed. With `resume` what is finished stays as it is, and the
    grid may have grown since. `on_progress` is called every second with the states of all runs, `say` with what the
    workers print. A run that diverges is noted in its manifest. One that fails does not stop the others: why is kept in
    its `failed.json`, and returned, by its name.
    """
    look(grid, out, say)
    kept = kept_rates(grid, out) if resume else {}
    grid = rated(grid, kept)
    grid, goes_on = may_begin(grid, out, resume=resume, force=force)
    with Alone(out, GRID) as place, workers(grid, out, jobs, backend, address, say) as run_cells:
        if out.is_dir() and (goes_on or force):
            place.take()
        if resume and not goes_on:
            say(f"{out} holds no comparison to go on with: beginning a new one")
        grid, rates = with_rates(grid, kept, say)
        if goes_on:
            as_begun_in(grid, out)  # a rule that was not there before gives what was begun another rate
        begin(grid, out, goes_on=goes_on, force=force)
        place.take()
        keep_rates(grid, out, rates)
        book = Book(out)
        watch = Watch(grid.runs, out, book)
        run_cells(unfinished(grid, out), book, lambda going: on_progress(watch.look(going)))
        settle(grid, out, jobs or jobs_that_fit(grid.runs.values()), say, book)
    return book.failed


def look(grid: Grid, out: Path, say: Callable[[str], None] = print_error) -> None:
    """Raise for the first run of a grid that would end before or at its first rollout; say which train alike."""
    if grid.measure is not None and grid.measure.kind in UNTRAINED:
        raise UserError(
            f"this grid measures {grid.measure.kind}",
            "its runs are starts, of which nothing is trained",
            "stiefel reproduce, which lists its name",
        )
    done: set[str] = set()
    for name, recipe in grid.runs.items():
        with named(name):
            model_files(recipe.model.path, recipe.model.revision)
            rehearse(recipe, out, done)
    for note in alike(grid.runs):
        say(note)


def alike(runs: Mapping[str, Recipe]) -> Iterator[str]:
    """A line for each run that trains as one before it: they differ in nothing that their method has a use for."""
    usual, first = Recipe().adapter, dict[str, str]()
    for name, recipe in runs.items():
        unused = not_applicable(recipe)
        adapter = recipe.adapter.model_copy(update={key: vars(usual)[key] for key in unused})
        other = first.setdefault(recipe.model_copy(update={"adapter": adapter}).model_dump_json(), name)
        if other != name:
            mine, theirs = vars(recipe.adapter), vars(runs[other].adapter)
            keys = ", ".join(f"adapter.{key}" for key in unused if mine[key] != theirs[key])
            yield (
                f"note: {name} trains as {other} does, for {recipe.adapter.method} has no use for {keys}; "
                f'with one axis "adapter.method, {keys}" it can be left out'
            )


@contextmanager
def workers(
    grid: Grid, out: Path, jobs: int | None, backend: str, address: str, say: Callable[[str], None]
) -> Iterator[RunCells]:
    """What runs cells, for as long as the block lasts; raises where it could not run one of the grid's."""
    if backend == "local":
        at_once = jobs or jobs_that_fit(grid.runs.values())
        if note := crowded(grid.runs.values(), at_once):
            say(note)
        yield lambda todo, book, report: in_processes(todo, out, at_once, say, book, report)
        return
    assert backend == "ray", backend
    with ray_cluster(address) as ray:
        there = machines(ray)
        gpus_there = any(has.get("GPU", 0) for has in there.values())
        require_resources({name: asked(recipe, gpus_there=gpus_there) for name, recipe in grid.runs.items()}, there)
        require_software(ray)
        yield RayCells(ray, out, jobs, say).run


def may_begin(grid: Grid, out: Path, *, resume: bool, force: bool, kind: str = "comparison") -> tuple[Grid, bool]:
    """The grid, with the names of what goes on, and whether anything does; raises where it may not, changes nothing."""
    if resume and out.exists():
        return as_begun_in(grid, out), True
    check_room(out, force=force, kind=kind)
    return grid, False


def begin(grid: Grid, out: Path, *, goes_on: bool, force: bool = False) -> None:
    """The comparison's directory, with what is there already where that goes on."""
    if goes_on:
        sweep(out)
    elif out.is_dir():
        check_room(out, force=force, kind="comparison")  # again: finding the rates may have taken minutes
        shutil.rmtree(out)
    with room_for(out):
        out.mkdir(parents=True, exist_ok=True)
        write_text(out / GRID, grid.source)  # first: it makes the directory a comparison's
        for place in (out / RUNS, out / BASES):
            place.mkdir(exist_ok=True)


def unfinished(grid: Grid, out: Path) -> dict[str, Recipe]:
    """The runs that are still to be done."""
    return {name: recipe for name, recipe in grid.runs.items() if not finished(out / RUNS / name)}


@contextmanager
def named(run: str) -> Iterator[None]:
    """A block whose error says which run of the grid it is about."""
    try:
        yield
    except UserError as error:
        raise UserError(f"{run}: {error.what}", error.why, error.instead) from error
