"""Verbs of training: train, compare, demo, report."""

from __future__ import annotations

import os
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import click

from ..errors import UserError, refuse_both
from .options import examples, force_option, plan_of, profile_option, resume_option, say, set_option


@click.command(
    epilog=examples(
        "stiefel train recipe.toml --out runs/lora",
        "stiefel train recipe.toml --set adapter.method=rlpo --set optim.lr=3e-4 --out runs/rlpo",
        "stiefel train recipe.toml --out runs/lora --resume",
    )
)
@click.argument("recipe", type=click.Path(path_type=Path))
@profile_option
@set_option
@click.option("--out", type=click.Path(path_type=Path, resolve_path=True), help="Run directory to write.")
@click.option("--dry-run", is_flag=True, help="Print the resolved recipe and stop.")
@resume_option
@force_option
@click.option("--note-failure", is_flag=True, hidden=True)
def train(
    recipe: Path,
    profile: str,
    changes: tuple[str, ...],
    out: Path | None,
    dry_run: bool,
    resume: bool,
    force: bool,
    note_failure: bool,
) -> None:
    """Train as a RECIPE says, into a run directory."""
    from ..recipe import left_to_launch, load_recipe

    settings = load_recipe(recipe, changes, profile)
    if dry_run:
        click.echo(settings.to_toml(), nl=False)
        return
    from ..artifacts import MANIFEST, require_begun
    from ..progress import run_progress
    from ..quiet import quiet

    refuse_both(resume, force)
    if resume and out is not None:
        require_begun(out, MANIFEST, "run")
    from ..run import check_names, rehearse
    from ..run import train as run

    quiet()
    if left := left_to_launch(settings):
        say(left)
    # a recipe that is tried with another method keeps settings that this one may have no use for, the changes do not
    keys = {change.partition("=")[0].strip() for change in changes}
    written = [key.removeprefix("adapter.") for key in keys]
    if out is None:  # what is wrong with the recipe comes first: the directory is no matter of a second try
        check_names(settings, shared="adapter.method" in keys, written=written)
        rehearse(settings, Path("run"), set(), written=written)
        raise UserError("no --out was given", "a run needs a directory", "add --out runs/NAME, or --dry-run")
    from ..comparison import noted

    rollouts = None if settings.algorithm.name == "sft" else settings.optim.rollouts
    with run_progress(rollouts) as (on_row, speak), noted(out) if note_failure else nullcontext():
        run(
            settings,
            out,
            resume=resume,
            force=force,
            progress=speak,
            on_row=on_row,
            shared="adapter.method" in keys,
            written=written,
        )
    if os.environ.get("RANK", "0") == "0":  # of a launch with several processes
        from ..report import fall_warnings, print_scores, read_run

        print_scores(out)
        click.echo(str(out))
        for line in fall_warnings(read_run(out)):
            say(line)
        say(f"next: stiefel report {out}")


@click.command(
    epilog=examples(
        "stiefel compare grid.toml --jobs 2 --out runs/methods",
        "stiefel compare grid.toml --backend slurm --out jobs/grid.sh",
    )
)
@click.argument("grid", type=click.Path(path_type=Path))
@profile_option
@set_option
@click.option(
    "--backend",
    type=click.Choice(["local", "ray", "slurm"]),
    default="local",
    show_default=True,
    help="Processes here, a Ray cluster, or an array job of Slurm, which is written and not submitted.",
)
@click.option("--address", default="", help="HOST:PORT of a Ray cluster, or auto; without it one is started here.")
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    help="Runs at the same time.  [default: as many as the cores have room for by run.threads, 1 on a GPU; with ray "
    "as many as there is room for]",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, resolve_path=True),
    required=True,
    help="Directory to write; with slurm the script, NAME.sh, beside which NAME is that directory.",
)
@resume_option
@force_option
def compare(
    grid: Path,
    profile: str,
    changes: tuple[str, ...],
    backend: str,
    address: str,
    jobs: int | None,
    out: Path,
    resume: bool,
    force: bool,
) -> int:
    """Train every point of a GRID and put them into one table.

    A run that fails does not stop the others: why stands in its failed.json and at the end, and the exit status is 2.
    With --resume failed and unfinished runs are tried again, and the grid may have got more methods, seeds or values;
    what is finished is kept.
    """
    from ..artifacts import GRID, require_begun
    from ..recipe import load_grid

    refuse_both(resume, force)
    refuse_unread(backend, address, jobs)
    if backend == "slurm":
        write_script(load_grid(grid, changes, profile), out, resume=resume, force=force)
        return 0
    if resume:
        require_begun(out, GRID, "comparison")
    return compare_and_report(
        load_grid(grid, changes, profile), out, jobs, resume=resume, force=force, backend=backend, address=address
    )


def refuse_unread(backend: str, address: str, jobs: int | None) -> None:
    """Raise for what the backend has no use for."""
    if address and backend != "ray":
        raise UserError(
            f"--address {address} with --backend {backend}",
            "it is a Ray cluster's, and nothing would read it",
            "add --backend ray, or leave --address out",
        )
    if jobs is not None and backend == "slurm":
        raise UserError(
            f"--jobs {jobs} with --backend slurm",
            "how many tasks of an array run at once is Slurm's to say",
            f"leave --jobs out, and submit with sbatch --array=0-N%{jobs}",
        )


def write_script(grid: Any, script: Path, *, resume: bool, force: bool) -> None:
    """What `compare` does for Slurm."""
    from ..artifacts import GRID, require_begun
    from ..comparison import places, write_array

    if resume:
        require_begun(places(script)[0], GRID, "comparison")
    out = write_array(grid, script, resume=resume, force=force, say=say)
    click.echo(str(script))
    say(f"next: bash {script}, which submits it and then the report on {out}")


@click.command(epilog=examples("stiefel demo", "stiefel demo --out demo --resume"))
@click.option("--out", type=click.Path(path_type=Path, resolve_path=True), default=Path("demo"), show_default=True)
@resume_option
@force_option
def demo(out: Path, resume: bool, force: bool) -> int:
    """Compare four methods at two rates on nano, in minutes on a CPU.

    nano is the embedded model: nothing is downloaded.

    With --resume a demo that is not there yet is begun, so that `make demo` is one command.
    """
    from ..nano import DEMO_GRID
    from ..progress import cores
    from ..recipe import load_grid

    return compare_and_report(load_grid(DEMO_GRID), out, min(4, cores()), resume=resume, force=force)


def compare_and_report(
    grid: Any, out: Path, jobs: int | None, *, resume: bool, force: bool, backend: str = "local", address: str = ""
) -> int:
    """What `compare` and `demo` share: run the grid, print its table and what failed, name the page; the status."""
    from ..artifacts import FAILED, RUNS
    from ..comparison import compare as run_grid
    from ..comparison import jobs_that_fit
    from ..progress import grid_progress
    from ..report import has_rows, print_table, run_warnings, write_report

    refuse_both(resume, force)
    if backend == "local" and jobs is None:
        jobs = jobs_that_fit(grid.runs.values())
    say(plan_of(len(grid.runs), jobs))
    with grid_progress() as on_progress:
        failed = run_grid(
            grid,
            out,
            resume=resume,
            force=force,
            jobs=jobs,
            backend=backend,
            address=address,
            say=say,
            on_progress=on_progress,
        )
    if not failed or has_rows(out):
        page = write_report(out, say=say)
        print_table(out)
        for line in run_warnings(out):
            say(line)
        click.echo(f"report: {page}")
        say(f"next: open {page} in a browser")
    if not failed:
        return 0
    for name, error in failed.items():
        say(f"failed: {name}: {error.what}\n  why: {error.why.splitlines()[0]}\n  instead: {error.instead}")
    say(f"{len(failed)} of {len(grid.runs)} runs failed, as {out / RUNS}/NAME/{FAILED} says; --resume tries them again")
    return 2


@click.command(epilog=examples("stiefel report runs/lora", "stiefel report runs/methods --figures"))
@click.argument("directory", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="The page to write; DIRECTORY/report.html by default.")
@click.option("--figures", is_flag=True, help="Also every chart, as PNG and PDF in DIRECTORY/figures.")
def report(directory: Path, out: Path | None, figures: bool) -> None:
    """Write the page of a run or a comparison.

    What training did to the weights is measured where it is not known yet, and kept in each run's directory; of a model
    with large matrices only with --figures.
    """
    from ..artifacts import FIGURES
    from ..report import failure_lines, write_report

    page = write_report(directory, out, figures=figures, say=say)
    for line in failure_lines(directory):
        say(line)
    click.echo(str(page))
    if figures:
        click.echo(str(directory / FIGURES))
    say(f"next: open {page} in a browser" if figures else f"next: open {page} in a browser, or add --figures")
