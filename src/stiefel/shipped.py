"""Where a directory lies that is not code: in the package where it came as a wheel, else in the checkout around it."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

PACKAGE = Path(str(files(__package__)))


def shipped(name: str, holding: str) -> Path | None:
    """The directory of that name that holds what it must (`recipes`: `rlpo`), or None where there is none."""
    places = (PACKAGE / name, PACKAGE.parents[1] / name)
    return next((place for place in places if (place / holding).exists()), None)
