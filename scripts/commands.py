"""Regenerate docs/commands.md, every command's --help: `python -m scripts.commands`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from scripts.readme import replace_block
from stiefel.cli import cli

PAGE = Path(__file__).parents[1] / "docs" / "commands.md"
WIDTH = 100


def commands(group: click.Group, words: tuple[str, ...] = ("stiefel",)) -> Iterator[tuple[str, click.Command]]:
    """Every command by the words that call it, a group before its own."""
    for name, command in sorted(group.commands.items()):
        yield " ".join((*words, name)), command
        if isinstance(command, click.Group):
            yield from commands(command, (*words, name))


def shown(words: str, command: click.Command) -> str:
    """A command's help as a terminal of that width shows it."""
    context = click.Context(command, info_name=words, terminal_width=WIDTH, **cli.context_settings)
    return command.get_help(context)


def page() -> str:
    """docs/commands.md as it should be."""
    parts = [f"## {words}\n\n```text\n{shown(words, command)}\n```\n" for words, command in commands(cli)]
    return replace_block(PAGE.read_text(encoding="utf-8"), "commands", "\n".join(parts))


def write() -> None:
    """docs/commands.md."""
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    write()
