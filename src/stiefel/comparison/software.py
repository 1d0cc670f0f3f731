"""What a machine would run a cell with; nothing of it is imported."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Mapping
from pathlib import Path

from ..artifacts import versions

SOURCES = "the text of stiefel"


def software() -> dict[str, str]:
    """The versions of Python, Stiefel and what it stands on, and a digest of Stiefel's own sources."""
    home = Path(__file__).parents[1]
    digest = hashlib.sha256()
    for path in sorted(home.rglob("*.py")):
        digest.update(str(path.relative_to(home)).encode() + b"\0" + path.read_bytes() + b"\0")
    return {"python": platform.python_version(), **versions(), SOURCES: digest.hexdigest()[:12]}


def differences(here: Mapping[str, str], there: Mapping[str, str]) -> list[str]:
    """What is other there, by name; a build of the same version, as torch's for a GPU, is the same."""
    return [
        f"{name} is {there.get(name, 'missing')}, here {here.get(name, 'missing')}"
        for name in sorted(here.keys() | there.keys())
        if public(here.get(name, "")) != public(there.get(name, ""))
    ]


def public(version: str) -> str:
    """A version without the name of its build: 2.13.0+cpu → 2.13.0."""
    return version.partition("+")[0]
