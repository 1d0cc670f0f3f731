"""Which sandbox works here: bubblewrap, else namespaces; none only when asked for by name."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from ...errors import UserError
from .filter import NoFilter
from .kinds import KINDS, NONE, Kind, shown
from .run import Job, Limits, SandboxError, run_job

SETTING = "STIEFEL_SANDBOX"  # auto, or a kind's name

# Every step that must fail is tried, and every one that does not is reported.
PROBE = """
import os, socket

def escapes(home, entries):
    steps = {
        "it can see the home directory": lambda: any(map(os.path.exists, entries)) or os.remove(""),
        "it can read the users": lambda: open("/etc/passwd").read(),
        "it can write outside its directory": lambda: os.access(home, os.W_OK) or os.remove(""),
        "it can open a socket": socket.socket,
        "it can start a process": os.fork,
        "it can signal the tests": lambda: os.kill(os.getppid(), 0),
        "it sees the environment": lambda: os.environ["PATH"],
    }
    found = []
    for name, step in steps.items():
        try:
            step()
        except (OSError, KeyError):
            continue
        found.append(name)
    return found
"""


def find_sandbox(name: str = "") -> Kind:
    """The sandbox of that name, or of STIEFEL_SANDBOX; "auto", the default, takes the first that holds.

    Raises UserError where none does: programs of a model are not run in the open unless "none" is asked for.
    """
    return found(name or os.environ.get(SETTING, "auto"))


@cache
def found(name: str) -> Kind:
    """`find_sandbox`, with one probe a process."""
    return choose(name, KINDS)


def choose(name: str, kinds: Sequence[Kind]) -> Kind:
    """The first of the kinds that is asked for and holds; the one without walls has to be asked for by its name."""
    names = ("auto", *(kind.name for kind in kinds))
    if name not in names:
        raise UserError(
            f"unknown sandbox {name!r}", f"{SETTING} names a kind of sandbox", f"one of: {', '.join(names)}"
        )
    reasons = []
    for kind in kinds:
        if name == kind.name or (name == "auto" and kind is not NONE):
            reason = kind.missing() or hole(kind)
            if not reason:
                return kind
            reasons.append(f"{kind.name}: {reason}")
    raise UserError(
        "no sandbox works here, and code that a model wrote is not run without one",
        "; ".join(reasons),
        f"install bubblewrap, or allow user namespaces; {SETTING}=none runs the programs with limits on system calls, "
        "time and memory, but lets them read and write your files: only in a machine that you can throw away",
    )


def hole(kind: Kind) -> str:
    """What a program can do in this sandbox that it must not, or why it does not start; "" if it holds."""
    home, visible = Path.home(), [Path(path) for path in shown()[0]]
    entries = home.iterdir() if home.is_dir() else ()
    private = [str(entry) for entry in entries if not any(path.is_relative_to(entry) for path in visible)]
    harmless = ["it can see the home directory", "it can read the users", "it can write outside its directory"]
    expected = [] if kind is not NONE else harmless
    tests = f"found = escapes({str(home)!r}, {private!r})\nassert set(found) <= set({expected!r}), found"
    try:
        verdict = run_job(Job(PROBE, tests, entry="escapes"), kind, Limits(wall_seconds=30))
    except (SandboxError, NoFilter) as error:
        return str(error)
    return "" if verdict.passed else verdict.reason
