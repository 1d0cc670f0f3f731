"""Which verl is installed, and whether it is one that Stiefel has been run with."""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError, version

VERL = (0, 9, 1)  # its configuration and its engines' internals change with every release: the one that was tried
INSTALL = 'pip install "verl==0.9.1"'


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
