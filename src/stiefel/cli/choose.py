"""Verb of choosing: choose."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import click

from ..errors import refuse_both
from .options import examples, force_option, json_option, out_option, profile_option, resume_option, say, set_option


@click.command(epilog=examples("stiefel choose grid.toml --budget 0.2 --out runs/chosen"))
@click.argument("grid", type=click.Path(path_type=Path))
@profile_option
@set_option
@click.option("--budget", type=float, required=True, help="The share of the grid's rollouts that may be done, as 0.2.")
@click.option("--jobs", type=click.IntRange(min=1), help="Runs at the same time.  [default: as many as the cores fit]")
@out_option
@json_option
@resume_option
@force_option
def choose(
    grid: Path,
    profile: str,
    changes: tuple[str, ...],
    budget: float,
    jobs: int | None,
    out: Path,
    as_json: bool,
    resume: bool,
    force: bool,
) -> None:
    """Look for the best point of a GRID with a part of its rollouts."""
    from ..choice import choose as choose_in
    from ..choice import print_choice
    from ..progress import grid_progress
    from ..quiet import quiet
    from ..recipe import load_grid

    refuse_both(resume, force)
    quiet()
    record = choose_in(
        load_grid(grid, changes, profile),
        out,
        budget,
        resume=resume,
        force=force,
        jobs=jobs,
        say=say,
        progress=grid_progress,
    )
    if as_json:
        click.echo(json.dumps(record, allow_nan=False))
    else:
        print_choice(record)
    rest = ["stiefel", "compare", str(grid), *(["--profile", profile] if profile else [])]
    rest += [word for change in changes for word in ("--set", change)]
    rest += ["--out", str(out), "--resume"]
    say(f"next: {shlex.join(['stiefel', 'report', str(out)])}; {shlex.join(rest)} runs the rest")
