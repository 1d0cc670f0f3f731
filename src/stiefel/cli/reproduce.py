"""The verb of the papers' tables and figures: reproduce."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..errors import UserError, refuse_both
from .options import examples, force_option, plan_of, profile_option, resume_option, say, set_option

if TYPE_CHECKING:
    from ..reproduction import Work


@click.command(
    epilog=examples(
        "stiefel reproduce",
        "stiefel reproduce rlpo/table1 --profile nano --out runs/table1",
        "stiefel reproduce rlpo/table1 --profile paper --dry-run",
    )
)
@click.argument("name", default="")
@profile_option
@set_option
@click.option("--out", type=click.Path(path_type=Path, resolve_path=True), help="Directory to write.")
@click.option("--dry-run", is_flag=True, help="Check all that needs no run, and list what this machine lacks.")
@click.option("--jobs", type=click.IntRange(min=1), help="Runs at the same time.  [default: as many as the cores fit]")
@resume_option
@force_option
@click.pass_context
def reproduce(
    context: click.Context,
    name: str,
    profile: str,
    changes: tuple[str, ...],
    out: Path | None,
    dry_run: bool,
    jobs: int | None,
    resume: bool,
    force: bool,
) -> None:
    """Reproduce a paper's table or figure by its NAME, beside theirs.

    Without NAME all that there are are listed.
    With --dry-run exit 0 if this machine has all that is needed, 1 if something is missing.
    """
    if not name:
        list_all()
        return
    from ..quiet import quiet
    from ..recipe import left_to_launch
    from ..reproduction import find_work

    refuse_both(resume, force)
    quiet()
    work = find_work(name, profile, changes)
    for left in dict.fromkeys(filter(None, map(left_to_launch, work.runs.values()))):
        say(left)
    if dry_run:
        context.exit(tell_missing(work, out or Path("reproduction")))
    if out is None:
        raise UserError(
            "no --out was given", "a reproduction needs a directory", f"add --out runs/{name.replace('/', '-')}"
        )
    context.exit(run(work, out, jobs, resume=resume, force=force))


def list_all() -> None:
    """A line for each name."""
    from ..reproduction import entries

    known = entries()
    width = max(map(len, known))
    longest = max(len(entry.time) for entry in known.values())
    for entry in known.values():
        click.echo(f"{entry.name:{width}}  nano {entry.time:{longest}}  {entry.what}")
    say("next: stiefel reproduce rlpo/table1 --profile nano --out runs/table1, or --profile paper --dry-run")


def tell_missing(work: Work, out: Path) -> int:
    """Print what is missing; the exit status."""
    from ..reproduction import lacks

    found = lacks(work, out)
    plan = f"{len(work.runs)} {'run' if len(work.runs) == 1 else 'runs'}"
    click.echo(f"{work.entry.name}, profile {work.profile}: {plan}, {work.path}")
    for lack in found:
        click.echo(str(lack))
    if not found:
        click.echo("nothing is missing")
        say(f"next: stiefel reproduce {work.entry.name} --profile {work.profile} --out DIR")
    return 1 if found else 0


def run(work: Work, out: Path, jobs: int | None, *, resume: bool, force: bool) -> int:
    """Run it with the usual progress, and print ours beside theirs; the exit status, 2 where a run failed."""
    from ..comparison import jobs_that_fit
    from ..progress import grid_progress, layer_progress, run_progress
    from ..reproduction import as_lines
    from ..reproduction import reproduce as begin

    if (jobs or 1) > 1 and (work.grid is None or not work.trains):
        raise UserError(f"--jobs {jobs} for {work.entry.name}", "it has no runs to share out", "leave --jobs out")
    with ExitStack() as stack:
        if not work.trains:
            layer = stack.enter_context(layer_progress("solving"))
            record = begin(work, out, resume=resume, force=force, on_layer=layer)
        elif work.grid is not None:
            jobs = jobs or jobs_that_fit(work.runs.values())
            say(plan_of(len(work.runs), jobs))
            done = stack.enter_context(grid_progress())
            record = begin(work, out, resume=resume, force=force, jobs=jobs, say=say, on_progress=done)
        else:
            (recipe,) = work.runs.values()
            row, words = stack.enter_context(run_progress(recipe.optim.rollouts))
            record = begin(work, out, resume=resume, force=force, say=words, on_row=row)
    for line in as_lines(record, work.entry, out):
        click.echo(line)
    if record["report"]:
        click.echo(f"report: {out / record['report']}")
        say(f"next: open {out / record['report']} in a browser")
    for one, why in record["failed"].items():
        say(f"failed: {one}: {why}")
    return 2 if record["failed"] else 0
