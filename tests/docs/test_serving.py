"""docs/serving.md speaks of commands that exist, and of what the code tells vLLM."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from stiefel.cli import cli
from stiefel.engine import ON_CPU, RANKS

PAGE = (Path(__file__).parents[2] / "docs" / "serving.md").read_text()


@pytest.mark.parametrize("line", re.findall(r"^\$ stiefel ([^#\n]*)", PAGE, flags=re.MULTILINE))
def test_every_command_parses(line: str) -> None:
    verb, *arguments = shlex.split(line)
    assert isinstance(cli.commands[verb].make_context(verb, list(arguments), **cli.context_settings), click.Context)


def test_the_numbers_and_options_are_the_codes() -> None:
    assert f"one of {', '.join(map(str, RANKS))}" in PAGE
    assert shlex.join(ON_CPU) in PAGE
