"""failed.json of a comparison's runs: the cells that could not be trained, and why."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, TypeAdapter

from ..artifacts import RUNS, read_json
from .checking import checked

FAILED = "failed.json"


class Failure(BaseModel):
    """What a cell's error said."""

    model_config = ConfigDict(frozen=True)

    what: str
    why: str
    instead: str = ""


def read_failures(directory: Path) -> dict[str, Failure]:
    """The failed cells of a comparison by their runs' names; none of a single run."""
    return {
        path.parent.name: checked(TypeAdapter(Failure), read_json(path), path)
        for path in sorted(directory.glob(f"{RUNS}/*/{FAILED}"))
    }
