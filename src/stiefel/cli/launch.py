"""Verb of handing over: launch."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from ..errors import UserError
from .options import examples, force_option, profile_option, say, set_option


@click.command(
    epilog=examples(
        "stiefel launch verl recipe.toml --dry-run",
        "stiefel launch verl recipe.toml --out jobs/launch.sh",
    )
)
@click.argument("engine", type=click.Choice(["verl"]))
@click.argument("recipe", type=click.Path(path_type=Path))
@profile_option
@set_option
@click.option("--out", type=click.Path(path_type=Path, resolve_path=True), help="The script to write.")
@click.option("--dry-run", is_flag=True, help="Print the script and stop, which needs no verl, GPU, hub or weights.")
@force_option
def launch(
    engine: str, recipe: Path, profile: str, changes: tuple[str, ...], out: Path | None, dry_run: bool, force: bool
) -> None:
    """Hand a RECIPE to another training library, verl, as one script.

    It is checked against what verl can do, and the adapter is prepared, before the script is written.
    """
    from ..recipe import load_recipe
    from ..verl import launch as write
    from ..verl import planned, trouble, verl_version

    settings = load_recipe(recipe, changes, profile)
    words = ["stiefel", "launch", engine, str(recipe), *(["--profile", profile] if profile else [])]
    asked = shlex.join([*words, *(word for change in changes for word in ("--set", change))])
    if dry_run:
        click.echo(planned(settings, asked, out), nl=False)
        say(f"would write {out}" if out is not None else "would write the script that --out names, and what it needs")
        return
    if out is None:
        planned(settings, asked, None)  # what is wrong with the recipe comes first
        raise UserError("no --out was given", "a script needs a place", "add --out DIR/launch.sh, or --dry-run")
    if wrong := trouble(verl_version()):
        say(f"note: {wrong} here: the script asks for the version that it needs before it starts")
    from ..progress import layer_progress
    from ..quiet import quiet

    quiet()
    with layer_progress("solving") as progress:
        write(settings, asked, out, source=recipe, force=force, say=say, progress=progress)
    click.echo(str(out))
    say(f"next: bash {shlex.quote(str(out))}")
