"""The package reasoning-gym: whether it is here, its version, and where it and what it needs lie."""

from __future__ import annotations

import re
from functools import cache
from importlib.metadata import Distribution, PackageNotFoundError, distribution

from ...errors import UserError

PACKAGE = "reasoning-gym"
PREFIX = "reasoning_gym:"  # of its tasks' names; no module of a user's is looked for under it
REQUIREMENT = re.compile(r"[A-Za-z0-9._-]+")


def is_gym(name: str) -> bool:
    """Whether a name is that of one of its tasks."""
    return name.startswith(PREFIX)


def installed() -> Distribution:
    """The package; raises UserError where it is missing."""
    try:
        return distribution(PACKAGE)
    except PackageNotFoundError as error:
        raise UserError(
            "reasoning-gym is not installed",
            f"tasks called {PREFIX}NAME are made and scored by it",
            "pip install 'stiefel[gym]'",
        ) from error


def version() -> str:
    """Its version."""
    return installed().version


@cache
def places() -> tuple[str, ...]:
    """The directories that hold the package and everything that it needs; raises UserError where one is missing."""
    found: dict[str, str] = {}
    waiting = [PACKAGE]
    installed()
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        try:
            here = distribution(name)
        except PackageNotFoundError as error:
            raise UserError(
                f"reasoning-gym needs {name}, which is not installed",
                "its tasks are made and scored by it",
                "pip install 'stiefel[gym]'",
            ) from error
        found[name] = str(here.locate_file("").resolve())  # type: ignore[attr-defined]
        for line in here.requires or ():
            needed, _, marker = line.partition(";")
            match = REQUIREMENT.match(needed)
            if match and not marker.strip():  # extras, other systems and older Pythons need no more
                waiting.append(match[0])
    return tuple(dict.fromkeys(found.values()))
