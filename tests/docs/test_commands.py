"""docs/commands.md holds every command's --help as it is."""

from __future__ import annotations

from scripts.commands import PAGE, commands, page
from stiefel.cli import VERBS, cli


def test_the_page_is_fresh() -> None:
    assert PAGE.read_text() == page(), "run `make docs`"


def test_every_command_stands_in_it() -> None:
    assert {words.split()[1] for words, _ in commands(cli)} == {verb.name for verb in VERBS}
    assert all(f"\n## {words}\n" in PAGE.read_text() for words, _ in commands(cli))
