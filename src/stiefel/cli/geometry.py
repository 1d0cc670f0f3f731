"""Verbs that look at weights: inspect."""

from __future__ import annotations

import json
from pathlib import Path

import click

from .options import json_option, say


@click.command()
@click.argument("subject", type=click.Path(path_type=Path))
@click.option("--base", required=True, help="The model it was trained from: a hub id, a directory, or nano.")
@click.option("--rank", type=int, help="Directions counted as leading and trailing; the method's rank by default.")
@click.option(
    "--also",
    type=click.Choice(["tail", "spectrum", "masks"]),
    multiple=True,
    help="Figures that cost more; repeatable. Small models get them unasked.",
)
@click.option("--revision", default="", help="Branch, tag or commit of a hub id.")
@click.option("--no-cache", is_flag=True, help="Neither read nor keep singular triplets on disk.")
@json_option
def inspect(
    subject: Path, base: str, rank: int | None, also: tuple[str, ...], revision: str, no_cache: bool, as_json: bool
) -> None:
    """See where in the spectrum of the base the change of a run, an adapter or a full checkpoint lies."""
    from ..artifacts import CERTIFICATE, MANIFEST
    from ..geometry import inspect as look
    from ..geometry.table import print_inspection

    found = look(
        subject,
        base,
        rank=rank,
        also=also,
        cache=not no_cache,
        revision=revision,
        progress=lambda name, number, total: say(f"[{number}/{total}] {name}"),
    )
    if as_json:
        click.echo(json.dumps(found.to_json(), indent=1))
        return
    print_inspection(found)
    if (subject / MANIFEST).is_file():
        say(f"next: stiefel report {subject}")
    elif (subject / CERTIFICATE).is_file():
        say(f"next: stiefel verify {subject} --base {base}")
    else:
        say(f"next: stiefel inspect {subject} --base {base} --json")
