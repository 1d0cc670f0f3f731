"""Which verl is installed, and whether it is one that Stiefel has been run with."""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError, version

from ..errors import UserError

VERL = (0, 9, 1)  # its settings and its engines' inside change with every release: this one was tried
WITHOUT = "stiefel train, which trains on TRL"


def verl_version() -> str:
    """The version of the verl that is installed, or nothing; imports nothing of it."""
    try:
        return version("verl")
    except PackageNotFoundError:
        return ""


def was_tried(found: str) -> bool:
    """Whether that version of verl is the one that Stiefel was tested with."""
    numbers = re.match(r"(\d+)\.(\d+)\.(\d+)", found)
    return numbers is not None and tuple(map(int, numbers.groups())) == VERL


def in_words() -> str:
    """The version that was tried."""
    return ".".join(map(str, VERL))


def trouble(found: str) -> str:
    """What is wrong with that version, or with there being none; nothing where it is the one that was tried."""
    if was_tried(found):
        return ""
    return f"verl {found} is installed" if found else "verl is not installed"


def require_verl(asked: str) -> None:
    """Raise unless the verl that was tried is installed; imports nothing of it."""
    if wrong := trouble(verl_version()):
        raise UserError(
            wrong,
            f"{asked} is for verl {in_words()}, the version that was tried: others read other settings",
            f'pip install "verl[vllm]=={in_words()}" into an environment of its own (docs/verl.md), or {WITHOUT}',
        )
