"""failed.json of a comparison's runs: the cells that could not be trained or measured, and why."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, TypeAdapter

from ..artifacts import EVAL, FAILED, MANIFEST, RECIPE, RUNS, read_json
from ..recipe import load_recipe
from .checking import checked


class Failure(BaseModel):
    """What a cell's error said."""

    model_config = ConfigDict(frozen=True)

    what: str
    why: str
    instead: str = ""


def read_failures(directory: Path) -> dict[str, Failure]:
    """The failed cells of a comparison by their runs' names; none of a single run, none that is whole by now.

    A cell that is begun again loses its file; one that was gone on with by hand, as a run of its own, keeps it.
    """
    return {
        path.parent.name: checked(TypeAdapter(Failure), read_json(path), path)
        for path in sorted(directory.glob(f"{RUNS}/*/{FAILED}"))
        if not whole(path.parent)
    }


def whole(run: Path) -> bool:
    """Whether a run is finished and has every score that its recipe names, those that a tuned grid defers too."""
    if not (run / MANIFEST).is_file() or read_json(run / MANIFEST).get("status") != "finished":
        return False
    scores = read_json(run / EVAL) if (run / EVAL).is_file() else {}
    return bool(scores.keys() >= set(load_recipe(run / RECIPE).eval.tasks))


def failure_lines(directory: Path) -> list[str]:
    """A line for each run of a comparison that failed."""
    return [f"failed: {name}: {failure.what}" for name, failure in read_failures(directory).items()]
