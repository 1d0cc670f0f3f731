"""What several verbs share: options, and how they speak."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from ..errors import UserError

out_option = click.option(
    "--out", type=click.Path(path_type=Path, resolve_path=True), required=True, help="Directory to write."
)
force_option = click.option("--force", is_flag=True, help="Replace what an earlier command wrote there.")
resume_option = click.option(
    "--resume", is_flag=True, help="Go on with an interrupted run; a finished one is left alone."
)
profile_option = click.option("--profile", default="", help="Overlay one of the recipe's profiles.")
set_option = click.option("--set", "changes", multiple=True, metavar="A.B=VALUE", help="Change one key; repeatable.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def say(line: str) -> None:
    """Progress and advice go to stderr, so that stdout holds results alone.

    To `sys.stderr` as it is now: while a bar is drawn it is the bar's, which makes room for the line above itself.
    """
    print(line, file=sys.stderr, flush=True)


def refuse_both(resume: bool, force: bool) -> None:
    """Raise for two wishes that contradict each other."""
    if resume and force:
        raise UserError(
            "--resume and --force are both given", "one goes on, the other begins again", "give one of them"
        )
