"""Every name that can be reproduced, what is known of it, and where its recipe lies."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

from ..errors import UserError, nearest
from ..shipped import PACKAGE, shipped

CATALOGUE = "catalogue.toml"


@dataclass(frozen=True)
class Entry:
    """A table or a figure of a paper."""

    name: str  # rlpo/table1
    what: str
    time: str  # of the nano profile, on one core
    figure: str = ""  # of `stiefel report --figures`, where a picture is what was published
    shows: str = ""  # what that picture shows, or what was found where no number was published
    order: str = ""  # the published score by which methods are put in order beside those of a small model


@cache
def entries() -> dict[str, Entry]:
    """All of them, in the catalogue's order."""
    tables = tomllib.loads(files(__package__).joinpath(CATALOGUE).read_text("utf-8"))
    return {name: Entry(name, **table) for name, table in tables.items()}


def recipes() -> Path:
    """The directory of the recipes: in the package where it was installed from a wheel, else in the checkout."""
    place = shipped("recipes", "rlpo")
    if place is None:
        raise UserError(
            "Stiefel's recipes are not on this machine",
            f"they lie neither in {PACKAGE} nor in the checkout that it is part of",
            "install Stiefel from a wheel, or in a checkout by pip install --editable",
        )
    return place


def find(name: str) -> tuple[Entry, Path]:
    """The entry of a name, and its recipe or grid."""
    known = entries()
    if name not in known:
        raise UserError(
            f"nothing to reproduce by the name {name!r}",
            "`stiefel reproduce` without a name lists every table and figure",
            nearest(name, known),
        )
    return known[name], recipes() / f"{name}.toml"
