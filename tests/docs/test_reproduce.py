"""docs/reproduce.md lists every name, and its commands are commands."""

from __future__ import annotations

import re
import shlex

import pytest

from scripts.reproduce import PAGE, page
from stiefel.cli import cli
from stiefel.reproduction import entries

COMMANDS = re.findall(r"^\$ stiefel ([^#>\n]*)", PAGE.read_text(), flags=re.MULTILINE)


def test_the_generated_table_is_fresh() -> None:
    assert PAGE.read_text() == page(), "run `make docs`"


def test_every_name_stands_in_it() -> None:
    assert all(f"| `{name}` |" in PAGE.read_text() for name in entries())


@pytest.mark.parametrize("line", COMMANDS)
def test_its_commands_parse(line: str) -> None:
    verb, *words = shlex.split(line)
    command = cli.commands[verb]
    command.make_context(verb, words, **cli.context_settings)
