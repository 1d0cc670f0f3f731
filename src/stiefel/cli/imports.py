"""Verb of taking back: import."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from .options import force_option, out_option, say


@click.command("import")
@click.argument("engine", type=click.Choice(["verl"]))
@click.argument("directory", type=click.Path(path_type=Path))
@out_option
@force_option
def bring(engine: str, directory: Path, out: Path, force: bool) -> None:
    """Make a run directory of what ENGINE left in the DIRECTORY of a launch."""
    from ..verl import import_run

    count = import_run(directory, out, force=force)
    click.echo(f"{out}: {count} rollout{'s' * (count != 1)}")
    say(f"next: stiefel report {shlex.quote(str(out))}")
