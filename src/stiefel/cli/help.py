"""Verb of explaining: help."""

from __future__ import annotations

import json
import shutil
import textwrap
from collections.abc import Sequence
from typing import Any

import click

from . import completing
from .options import examples, json_option, say

WIDEST = 100


@click.command("help", epilog=examples("stiefel help optim.lr", "stiefel help rollout", "stiefel help axes"))
@click.argument("key", default="", shell_complete=completing.keys)
@json_option
@click.pass_context
def explain(context: click.Context, key: str, as_json: bool) -> None:
    """Explain a KEY of a recipe or a grid; without one list them all.

    The name of a table explains all of its keys, that of a command, but for eval, is its --help.
    """
    group = context.parent.command if context.parent is not None else None
    if isinstance(group, click.Group) and key in group.commands and key not in ("eval",):  # [eval] is a table too
        click.echo(group.commands[key].get_help(click.Context(group.commands[key], context.parent, key)))
        return
    from ..recipe import find_keys, grid_keys, recipe_keys

    found = find_keys(key) if key else [*recipe_keys(), *grid_keys()]
    if as_json:
        click.echo(json.dumps([one.to_json() for one in found], indent=1))
        return
    if not key:
        click.echo(listed(found))
        say("next: stiefel help optim.lr, or the name of a table: stiefel help optim")
        return
    for one in found:
        click.echo(described(one))
    if key == "eval":
        say("the command of that name: stiefel eval --help")


def listed(found: Sequence[Any]) -> str:
    """The tables with their keys."""
    from ..recipe import sections

    lines = []
    about = {**sections(), "": "a grid's own keys; what it shares stands in [recipe.*]"}
    about["measure"] = "of a grid: what of its runs was published"
    for section, words in about.items():
        names = [one.name.removeprefix(f"{section}.") for one in found if in_section(one.name, section)]
        heading = f"[{section}]" if section else "grid"
        lines.append(f"{heading}{f'  {words}' if words else ''}")
        lines.append(textwrap.fill(", ".join(names), width(), initial_indent="  ", subsequent_indent="  "))
    return "\n".join(lines)


def in_section(name: str, section: str) -> bool:
    """Whether a key stands in a table, or in a table of it."""
    return name.startswith(f"{section}.") if section else "." not in name


def described(key: Any) -> str:
    """All that is known of a key."""
    table = f"[{key.section}]" if key.section else "[axes]" if key.name == "axes" else ""
    table = f"[{table}]" if key.section == "task.mixture" else table
    lines = [key.name, textwrap.fill(key.meaning, width(), initial_indent="  ", subsequent_indent="  ")]
    lines.append(f"  takes    {key.kind}")
    lines.append(f"  default  {key.default or 'none'}")
    lines += [f"  note     {note}" for note in key.notes]
    lines.append(f"  example  {table + ' ' if table else ''}{key.example}")
    if key.settable:
        value = key.example.partition(" = ")[2]
        lines.append(f"           --set {shell(f'{key.name}={value}')}")
    return "\n".join(lines) + "\n"


def shell(text: str) -> str:
    """A word of a command line, quoted where a shell would read signs in it."""
    return f"'{text}'" if set(text) & set("\"'[]{}<>|$& ") else text


def width() -> int:
    """How wide lines are."""
    return min(WIDEST, shutil.get_terminal_size((WIDEST, 24)).columns)
