"""A model's or a data set's name without the place where it lies on this machine."""

from __future__ import annotations

import re
from pathlib import Path

from ..nano import NANO, NANO_PATH

CACHED = re.compile(r"(?:^|/)(?:models|datasets)--([^/]+)--([^/]+)/snapshots/")  # how the hub's client keeps files


def public_name(place: str) -> str:
    """A hub id as it is, nano, and of a file or a directory the last name; nothing of nothing.

    What the hub's client keeps of `owner/name` is called so.
    """
    if found := CACHED.search(f"{place}/"):
        return f"{found[1]}/{found[2]}"
    if place in ("", NANO) or Path(place).absolute() == NANO_PATH:
        return NANO if place else ""
    is_id = place.count("/") == 1 and not place.startswith(("/", ".", "~")) and not Path(place).exists()
    return place if is_id else Path(place).name
