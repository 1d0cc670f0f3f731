"""Verb of taking back: import."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from .options import examples, force_option, out_option, say


@click.command("import", epilog=examples("stiefel import verl jobs --out runs/verl"))
@click.argument("engine", type=click.Choice(["verl"]))
@click.argument("directory", type=click.Path(path_type=Path))
@out_option
@force_option
def bring(engine: str, directory: Path, out: Path, force: bool) -> None:
    """Make a run of what verl left in the DIRECTORY of a launch.

    DIRECTORY is where the script of `stiefel launch` lies.
    """
    from ..verl import import_run

    count = import_run(directory, out, force=force)
    click.echo(f"{out}: {count} rollout{'s' * (count != 1)}")
    say(f"next: stiefel report {shlex.quote(str(out))}")
