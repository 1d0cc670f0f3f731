"""docs/evaluation.md speaks of commands that exist and of the numbers that the code has."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from stiefel.cli import cli
from stiefel.evaluation.plan import SEQUENCES, TOKENS
from stiefel.scores import RESAMPLES

PAGE = (Path(__file__).parents[2] / "docs" / "evaluation.md").read_text()
COMMANDS = re.findall(r"^\$ stiefel ([^#\n]*)", PAGE, flags=re.MULTILINE)


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_parses(line: str) -> None:
    verb, *arguments = shlex.split(line)
    assert isinstance(cli.commands[verb].make_context(verb, list(arguments), **cli.context_settings), click.Context)


def test_the_numbers_are_the_codes() -> None:
    assert f"at most {SEQUENCES} sequences" in PAGE
    assert TOKENS == 2**18
    assert "2¹⁸ tokens" in PAGE
    assert f"{RESAMPLES:,} resamples" in PAGE
