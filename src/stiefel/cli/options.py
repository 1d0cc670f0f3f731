"""What several verbs share: options, and how they speak."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from ..errors import UserError
from . import completing

out_option = click.option(
    "--out", type=click.Path(path_type=Path, resolve_path=True), required=True, help="Directory to write."
)
force_option = click.option("--force", is_flag=True, help="Replace what an earlier command wrote there.")
resume_option = click.option(
    "--resume", is_flag=True, help="Go on with what was interrupted; what is finished is left alone."
)
profile_option = click.option(
    "--profile",
    default="",
    help="Lay the profile of that name over the recipe or the grid.",
    shell_complete=completing.profiles,
)
set_option = click.option(
    "--set",
    "changes",
    multiple=True,
    metavar="A.B=VALUE",
    help="Change one key; repeatable.",
    shell_complete=completing.changes,
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")

task_option = click.option(
    "--option", "options", multiple=True, metavar="KEY=VALUE", help="An option of a task of reasoning-gym; repeatable."
)


def examples(*commands: str) -> str:
    """What a verb's --help ends on: commands that it takes as they stand, one a line."""
    return "\n".join(["\b", "Examples:", *(f"  {command}" for command in commands)])


def option_values(texts: Sequence[str]) -> dict[str, Any]:
    """`max_value=40` → {"max_value": 40}; a value that is not TOML is taken as a text."""
    found = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key.strip():
            raise UserError(f"--option {text!r} is no option", "it has no key and value", "write --option max_value=40")
        try:
            parsed = tomllib.loads(f"value = {value}")
        except tomllib.TOMLDecodeError:
            parsed = {"value": value}
        found[key.strip()] = parsed["value"]
    return found


def plan_of(runs: int, jobs: int | None) -> str:
    """`8 runs, 2 at a time`; `jobs` is None where as many go on as there is room for."""
    if runs == 1:
        return "1 run"
    return f"{runs} runs, {f'{min(jobs, runs)} at a time' if jobs else 'as many at a time as there is room for'}"


def say(line: str) -> None:
    """Progress and advice go to stderr, so that stdout holds results alone.

    To `sys.stderr` as it is now: while a bar is drawn it is the bar's, which makes room for the line above itself.
    """
    print(line, file=sys.stderr, flush=True)
