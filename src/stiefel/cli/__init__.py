"""The command line: words in, a verb's result and an exit status out. Nothing heavy is imported before a verb needs it.

Verbs only: each file holds those of one kind. Open runs.py first; options.py has what several verbs take.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable
from typing import Any

import click

from ..errors import SaidElsewhere, UserError
from .adapters import cache, export, init, methods, verify
from .choose import choose
from .cite import cite
from .doctor import doctor
from .evaluation import evaluate
from .geometry import inspect, preflight
from .grade import grade
from .help import explain
from .imports import bring
from .launch import launch
from .new import new
from .options import examples, say
from .reproduce import reproduce
from .runs import compare, demo, report, train

INTERRUPTED = 130
VERBS = (
    *(new, methods, init, verify, export, preflight, train, launch, bring, evaluate, grade),
    *(inspect, compare, choose, reproduce, report, cache, demo, cite, explain, doctor),
)


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=examples("stiefel demo", "stiefel new recipe > recipe.toml", "stiefel train recipe.toml --out run"),
)
@click.version_option(package_name="stiefel")
def cli() -> None:
    """Stiefel starts a LoRA on the right manifold: adapters for RL with verifiable rewards."""


for verb in VERBS:
    cli.add_command(verb)


def main(arguments: list[str] | None = None) -> None:
    """Run a command; a user's mistake is one message and exit 2, an interruption exit 130."""
    speak_anywhere()
    status = guarded(lambda: cli.main(args=arguments, standalone_mode=False))
    if os.environ.get("WORLD_SIZE", "1") != "1" and status != INTERRUPTED:
        from .ending import end

        end(status)
    sys.exit(status)


def speak_anywhere() -> None:
    """Print what a terminal can show, whatever its encoding: a sign that it cannot is a question mark, and no error."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def guarded(command: Callable[[], Any]) -> int:
    """The exit status of a command."""
    try:
        status = command()  # what a command gave to context.exit, or nothing
    except SaidElsewhere:
        return 2
    except UserError as error:
        say(f"error: {error}")
        return 2
    except click.ClickException as error:
        context = error.ctx if isinstance(error, click.UsageError) else None
        place = context.command_path if context is not None else "stiefel"
        why = "it needs that to begin" if isinstance(error, click.MissingParameter) else "the command is not understood"
        say(f"error: {UserError(error.format_message(), why, f'see {place} --help')}")
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        say(
            "interrupted: nothing half-written is left; what train, eval, compare, choose or demo began goes on with "
            "--resume"
        )
        return INTERRUPTED
    return status if isinstance(status, int) else 0
