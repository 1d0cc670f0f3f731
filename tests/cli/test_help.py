"""`stiefel help` explains keys, tables and commands, at once."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys

import click
import pytest

from stiefel.cli import VERBS, cli, main
from stiefel.recipe.explained import keys
from stiefel.recipe.recipe import Recipe


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """The exit status of a command, and what it said."""
    with pytest.raises(SystemExit) as status:
        main(list(arguments))
    said = capsys.readouterr()
    return int(status.value.code or 0), said.out, said.err


def test_a_key_is_explained_and_a_mistyped_one_answered_by_the_nearest(capsys) -> None:
    status, text, _ = run(capsys, "help", "optim.lr")
    assert status == 0
    for part in ("Learning rate", "a number, at least 0", "0.0003", "[optim] lr = ", "--set optim.lr="):
        assert part in text
    assert "refused with sft" in run(capsys, "help", "kl_cap")[1]
    status, text, said = run(capsys, "help", "optim.lrr")
    assert (status, text) == (2, "")
    assert "did you mean optim.lr" in said


def test_without_a_key_all_are_listed_and_as_json_all_is_said(capsys) -> None:
    text = run(capsys, "help")[1]
    for name in keys(Recipe):
        section, _, key = name.partition(".")
        assert f"[{section}]" in text
        assert key in text
    records = json.loads(run(capsys, "help", "--json")[1])
    assert {record["name"] for record in records} >= {*keys(Recipe), "axes", "rate", "recipe", "profile"}


def test_the_name_of_a_command_gives_its_help(capsys) -> None:
    assert "--rank" in run(capsys, "help", "init")[1]
    assert "[eval]" in run(capsys, "help", "eval")[1]


def test_it_imports_no_torch() -> None:
    probe = "import sys\nfrom stiefel.cli import main\ntry: main(['help', 'optim.lr'])\nfinally: "
    probe += "print('torch' in sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True)
    assert loaded.stdout.splitlines()[-1] == "False"


def test_every_command_speaks_of_a_profile_in_the_same_words() -> None:
    """Of a recipe's and of a grid's, as some take the one and some the other."""
    found = {verb.name: option for verb in VERBS for option in verb.params if "--profile" in option.opts}
    assert found.keys() >= {"train", "preflight", "launch", "compare", "choose", "reproduce"}
    (words,) = {option.help for option in found.values() if isinstance(option, click.Option)}
    assert "recipe" in words
    assert "grid" in words


def test_no_help_shows_a_mark_that_is_clicks(capsys: pytest.CaptureFixture[str]) -> None:
    """A docstring's mark against wrapping is a character of its own, and no letters."""
    words = [[verb.name, *more] for verb in VERBS for more in [[], *([one] for one in commands_of(verb))]]
    for command in words:
        assert "\\b" not in run(capsys, *[word for word in command if word], "--help")[1], command


def every_command() -> list[click.Command]:
    """Of all verbs, a group's own ones beside it."""
    return [one for verb in VERBS for one in [verb, *(verb.commands.values() if isinstance(verb, click.Group) else [])]]


@pytest.mark.parametrize("command", [cli, *every_command()], ids=lambda command: command.name)
def test_every_help_ends_on_examples_that_are_taken_as_they_stand(command: click.Command) -> None:
    """Each is parsed, with no option unknown or missing, by the command under whose help it stands."""
    *_, listed = (command.epilog or "").partition("Examples:\n")
    examples = [shlex.split(line.partition(" > ")[0]) for line in listed.splitlines()]
    assert examples, "--help shows no example"
    for name, *words in examples:
        assert name == "stiefel"
        found: click.Command = cli
        while isinstance(found, click.Group):
            _, chosen, words = found.resolve_command(click.Context(found), words)
            assert chosen is not None
            found = chosen
        found.make_context(found.name, words, **cli.context_settings)
        assert found is command or isinstance(command, click.Group)


def test_the_list_of_commands_cuts_nothing_off_on_a_terminal_of_80() -> None:
    for group in (one for one in (cli, *every_command()) if isinstance(one, click.Group)):
        text = group.get_help(click.Context(group, info_name="stiefel", terminal_width=80))
        assert "..." not in text.partition("Commands:")[2].partition("Examples:")[0]


def commands_of(verb: click.Command) -> list[str]:
    """The names of a group's own commands."""
    return list(verb.commands) if isinstance(verb, click.Group) else []
