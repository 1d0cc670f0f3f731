"""Verb of looking after: doctor."""

from __future__ import annotations

import json
from dataclasses import asdict

import click

from .options import examples, json_option, say

MARKS = {"works": "ok", "absent": "-", "broken": "NOT"}


@click.command(epilog=examples("stiefel doctor", "stiefel doctor --json"))
@json_option
@click.pass_context
def doctor(context: click.Context, as_json: bool) -> None:
    """Say what is installed and works, and what to do about the rest.

    Exit 0 whatever optional part is missing, 1 where nothing works without what is broken.
    """
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
