"""failed.json of a comparison's runs: the cells that could not be trained, and why."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, TypeAdapter

from ..artifacts import EVAL, FAILED, RUNS, read_json
from .checking import checked


class Failure(BaseModel):
    """What a cell's error said."""

    model_config = ConfigDict(frozen=True)

    what: str
    why: str
    instead: str = ""


def read_failures(directory: Path) -> dict[str, Failure]:
    """The failed cells of a comparison by their runs' names; none of a single run, none that was mended since."""
    return {
        path.parent.name: checked(TypeAdapter(Failure), read_json(path), path)
        for path in sorted(directory.glob(f"{RUNS}/*/{FAILED}"))
        if not (path.parent / EVAL).is_file()
    }


def failure_lines(directory: Path) -> list[str]:
    """A line for each run of a comparison that failed."""
    return [f"failed: {name}: {failure.what}" for name, failure in read_failures(directory).items()]
