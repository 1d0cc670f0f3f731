"""The file of a recipe or a grid: its tables, or what to give where it cannot be read."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from ..errors import UserError, closest
from ..shipped import shipped


def read_toml(path: Path, kind: str = "recipe") -> dict[str, Any]:
    """The tables of a TOML file, which is to hold a recipe or a grid."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError as error:
        raise UserError(f"no file {path}", "there is nothing to read", in_place_of(path, kind)) from error
    except IsADirectoryError as error:
        raise UserError(f"{path} is a directory", "a TOML file is needed", "name the file in it") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not TOML", str(error), "mend that place") from error


def in_place_of(path: Path, kind: str) -> str:
    """What to give where no such file is: one of a like name, a recipe that ships with Stiefel, or a new one."""
    close = [str(path.parent / name) for name in like_names(path)]
    ships = shipped("recipes", "rlpo")
    if not close and path.parts[:1] == ("recipes",) and ships is not None:
        theirs = ships.joinpath(*path.parts[1:])
        if theirs.is_file():
            return f"Stiefel's own is {theirs}"
        close = [str(theirs.parent / name) for name in like_names(theirs)]
    return f"did you mean {' or '.join(close)}?" if close else f"stiefel new {kind} > {kind}.toml writes one"


def like_names(path: Path) -> list[str]:
    """The TOML files beside a path whose names are close to its own."""
    beside = {file.stem: file.name for file in path.parent.glob("*.toml")}
    return [beside[name] for name in closest(path.name.removesuffix(".toml"), beside)]
