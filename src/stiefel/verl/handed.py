"""verl.json: what a launch hands to our hooks and to the plug-in, which verl starts in processes of its own."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Any

from ..artifacts import ADAPTER, RECIPE, read_json
from ..errors import UserError
from ..methods import Composition
from ..recipe import Recipe, load_recipe
from .carried import Carried
from .given import VARIABLE
from .installed import in_words
from .resumed import trained_with

HANDED, FAILED = "verl.json", "reward-failure.txt"


def handed(recipe: Recipe, adapter: Carried, composition: Composition, home: Path) -> dict[str, Any]:
    """What stands in the file."""
    return {
        "verl": in_words(),
        "recipe": str(home.absolute() / RECIPE),
        "adapter": str(adapter.directory or home.absolute() / ADAPTER) if adapter.rank else "",
        "method": composition.name,
        "anchored": adapter.anchored,
        "rank": adapter.rank,
        "alpha": adapter.alpha,
        "dropout": recipe.adapter.dropout,
        "dropout_on": recipe.adapter.dropout_on,
        "base": recipe.model.path,
        "revision": recipe.model.revision,
        "weight_decay": recipe.optim.weight_decay,
        "weight_decay_on": recipe.optim.weight_decay_on,
        "world": recipe.cluster.nodes * recipe.cluster.gpus,
        "settings": trained_with(recipe),  # kept beside each checkpoint
        "directory": str(Path.cwd()),  # where a user's own modules are
        "failed": str(home.absolute() / FAILED),  # what a broken reward leaves
    }


def read_handed() -> dict[str, Any]:
    """What the launch handed over; raises UserError where the variable names no such file."""
    path = os.environ.get(VARIABLE, "")
    if not path or not Path(path).is_file():
        raise UserError(
            f"{VARIABLE} = {path!r} names no file",
            "what verl is to train stands there",
            "start the script that `stiefel launch verl` wrote; on several machines keep it on a disk that all see",
        )
    found: dict[str, Any] = read_json(Path(path))
    return found


@cache
def handed_recipe(path: str) -> Recipe:
    """The recipe of a launch, read once in each process."""
    return load_recipe(Path(path))
