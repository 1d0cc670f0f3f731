"""A grid → run directories, by whatever runs its cells; finished runs are skipped."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from ..artifacts import BASES, GRID, RUNS, check_room, write_text
from ..errors import UserError
from ..model import model_files
from ..recipe import Grid, Recipe
from ..run import finished, rehearse, same_recipe, status
from .cells import rollouts_done
from .local import in_processes
from .mirror import sweep
from .ray_cells import RayCells
from .ray_cluster import asked, machines, ray_cluster, require_resources, require_software

Counts = Mapping[str, int]  # the rollouts of runs that are not in `out` yet, by name
RunCells = Callable[[dict[str, Recipe], Callable[[Counts], None]], None]


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
    on_progress: Callable[[dict[str, int]], None] = lambda done: None,
) -> None:
    """Run every recipe of a grid into `out/runs/NAME`; each base model is evaluated once.

    `local` runs `jobs` at a time in processes of this machine, one if it is left open; `ray` on the cluster at an
    address, or on one of this machine, as many at a time as there is room for. What can be refused is refused before
    anything is written or removed. `on_progress` is called every second with the rollouts that each run has done, `say`
    with what the workers print. A run that diverges is noted in its manifest and does not stop the others.
    """
    look(grid, out)
    goes_on = may_begin(grid, out, resume=resume, force=force)
    with workers(grid, out, jobs, backend, address, say) as run_cells:
        if resume and not goes_on:
            say(f"{out} holds no comparison to go on with: beginning a new one")
        begin(grid, out, goes_on=goes_on)

        def report(counts: Counts) -> None:
            on_progress(
                {
                    name: max(rollouts_done(recipe, out / RUNS / name), counts.get(name, 0))
                    for name, recipe in grid.runs.items()
                }
            )

        run_cells(unfinished(grid, out), report)


def look(grid: Grid, out: Path) -> None:
    """Raise for the first run of a grid that would end before or at its first rollout."""
    done: set[str] = set()
    for name, recipe in grid.runs.items():
        with named(name):
            model_files(recipe.model.path, recipe.model.revision)
            rehearse(recipe, out, done)


@contextmanager
def workers(
    grid: Grid, out: Path, jobs: int | None, backend: str, address: str, say: Callable[[str], None]
) -> Iterator[RunCells]:
    """What runs cells, for as long as the block lasts; raises where it could not run one of the grid's."""
    if backend == "local":
        yield lambda todo, report: in_processes(todo, out, jobs or 1, say, lambda: report({}))
        return
    assert backend == "ray", backend
    with ray_cluster(address) as ray:
        there = machines(ray)
        gpus_there = any(has.get("GPU", 0) for has in there.values())
        require_resources({name: asked(recipe, gpus_there=gpus_there) for name, recipe in grid.runs.items()}, there)
        require_software(ray)
        yield RayCells(ray, out, jobs, say).run


def may_begin(grid: Grid, out: Path, *, resume: bool, force: bool, kind: str = "comparison") -> bool:
    """Whether what is in `out` goes on; raises where it may neither go on nor give way, and changes nothing."""
    if resume and out.exists():
        require_same_grid(grid, out)
        return True
    check_room(out, force=force, kind=kind)
    return False


def begin(grid: Grid, out: Path, *, goes_on: bool) -> None:
    """The comparison's directory, with what is there already where that goes on."""
    if goes_on:
        sweep(out)
    elif out.is_dir():
        shutil.rmtree(out)
    for place in (out / RUNS, out / BASES):
        place.mkdir(parents=True, exist_ok=True)
    write_text(out / GRID, grid.source)


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
