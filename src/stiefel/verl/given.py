"""What a recipe says that verl has no key for: a JSON file beside the adapter, named by STIEFEL_VERL."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..artifacts import read_json
from ..errors import UserError
from ..recipe import load_recipe

VARIABLE = "STIEFEL_VERL"


class Given(BaseModel):
    """What the plug-in takes from verl.json, and what holds where that leaves it out."""

    model_config = ConfigDict(frozen=True)

    weight_decay_on: Literal["delta", "factors"] = "delta"
    """Whether weight decay pulls towards the base, or A and B towards 0 as the published methods do."""
    dropout: float = Field(0.0, ge=0.0, lt=1.0)
    """The adapter's dropout; what its directory says does not count."""
    dropout_on: Literal["delta", "factors"] = "delta"
    """Whether an anchored adapter drops of its change, or of A and B as the published methods do."""
    kl_every: int = Field(10, ge=0)
    """Rollouts between two measurements of the KL to the base; the first and the last are measured too. 0: none."""
    rollout_dtype: Literal["bfloat16", "float16", "float32"] = "bfloat16"
    """The type in which the rollout's engine holds what it is sent: verl's `rollout.dtype`."""
    run: str = ""
    """The directory where syncs.jsonl is written; none is where it is empty."""
    settings: dict[str, Any] = {}
    """What the recipe says of the training, to be kept beside each checkpoint."""


def read_given() -> Given:
    """The file that STIEFEL_VERL names, and the recipe that it names; the defaults where the variable is not set."""
    name = os.environ.get(VARIABLE, "")
    if not name:
        return Given()
    path = Path(name)
    if not path.is_file():
        raise UserError(
            f"{VARIABLE} = {name} is no file",
            "it should hold the settings that verl has no key for",
            "the script of `stiefel launch verl`, which writes it; on several machines it must be on a shared disk",
        )
    told = read_json(path)
    if "recipe" in told:
        recipe = load_recipe(Path(told["recipe"]))
        told = {
            "kl_every": recipe.run.kl_every,
            "rollout_dtype": recipe.model.dtype,
            "run": str(path.parent.absolute()),
            **told,
        }
    try:
        return Given.model_validate(told)
    except ValidationError as error:
        first = error.errors()[0]
        raise UserError(
            f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}",
            "it is not what `stiefel launch verl` writes",
            "launch again",
        ) from error
