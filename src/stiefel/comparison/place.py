"""What lies where in the directory in which a machine of a cluster runs a cell: `Place`."""

from __future__ import annotations

from pathlib import Path

MEASURE, TRAIN = "measure", "train"  # what a cell is for


class Place:
    """A directory for one cell, between the worker of a cluster and the cell's own process.

    The run has the name that it has in the comparison, by which reporters know it.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.recipe, self.base = directory / "recipe.toml", directory / "base.jsonl"  # what the cell is given
        self.error = directory / "error.json"  # the user's mistake that it ended with: what, why, instead
        self.kept = directory / "kept"  # files on their way
        self.work = directory / "work"

    def run(self, name: str) -> Path:
        """What the cell leaves."""
        return self.work / name
