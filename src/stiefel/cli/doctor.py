"""Verb of looking after: doctor."""

from __future__ import annotations

import json
from dataclasses import asdict

import click

from .options import json_option, say

MARKS = {"works": "ok", "absent": "-", "broken": "NOT"}


@click.command()
@json_option
@click.pass_context
def doctor(context: click.Context, as_json: bool) -> None:
    """Say what is installed here, what works, and what to do about the rest.

    Exit 0 whatever optional part is missing, 1 where nothing works without what is broken.

    \b
    stiefel doctor
    """  # noqa: D301  click's mark is the character itself
    from ..installation import examine

    found = examine()
    works = not any(one.fatal for one in found)
    if as_json:
        click.echo(json.dumps({"works": works, "findings": [asdict(one) for one in found]}, indent=1))
    else:
        for one in found:
            click.echo(f"{MARKS[one.state]:3} {one.name}: {one.found}")
            if one.state != "works" and one.instead:
                click.echo(f"      {one.instead}")
        if works:
            say("next: stiefel demo, or stiefel new recipe > recipe.toml")
    context.exit(0 if works else 1)
