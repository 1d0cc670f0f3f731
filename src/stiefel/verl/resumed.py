"""What a checkpoint was trained with, beside its shards: a run goes on from it with the same settings alone.

verl goes on from whatever lies in `trainer.default_local_dir`, with the optimizer's states and the schedule in it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..artifacts import CHECKPOINTS, read_json, write_json
from ..errors import UserError
from ..recipe import Recipe

TRAINED = "launch.json"  # in global_step_N/actor
LATEST = "latest_checkpointed_iteration.txt"  # in a run's directory of checkpoints
ASIDE = ("cluster.", "eval.", "expected.", "run.")  # where and how it is seen, which changes nothing that is trained
PLACES = ("adapter.path",)  # whose files are compared themselves
CONTENT = ("run.seed",)


def trained_with(recipe: Recipe) -> dict[str, Any]:
    """section.key → value, of what decides over the training."""
    tables = recipe.model_dump(mode="json")
    flat = {f"{section}.{key}": value for section, table in tables.items() for key, value in table.items()}
    return {key: value for key, value in flat.items() if key in CONTENT or not (key.startswith(ASIDE) or key in PLACES)}


def keep_trained(checkpoint: Path, settings: dict[str, Any], world: int) -> None:
    """Write down what the shards of a checkpoint were trained with, and by how many processes."""
    write_json(checkpoint / TRAINED, {"world": world, "settings": settings})


def require_trained(checkpoint: Path, settings: dict[str, Any], world: int) -> None:
    """Raise unless a checkpoint was trained with these settings by so many processes."""
    if not (checkpoint / TRAINED).is_file():
        raise UserError(
            f"{checkpoint} has no {TRAINED}",
            "it was not written with stiefel.verl.plugin, so that what it was trained with is not known",
            "go on from a checkpoint of this run, or train without one",
        )
    kept = read_json(checkpoint / TRAINED)
    if kept["world"] != world:
        raise UserError(
            f"{checkpoint} was written by {kept['world']} processes, and these are {world}",
            "each of them reads the shard of its own number, and no other",
            f"cluster.nodes × cluster.gpus = {kept['world']}, or an --out of its own",
        )
    for key in sorted(kept["settings"].keys() | settings.keys()):
        then, now = kept["settings"].get(key), settings.get(key)
        if then != now:
            raise UserError(
                f"{checkpoint} was trained with {key} = {then!r}, and this run has {now!r}",
                "its optimizer and its schedule would be taken over",
                f"launch with {key} = {then!r}, or into a directory of its own",
            )


def latest_step(home: Path) -> int:
    """The rollout of the last checkpoint of a launch, from which verl goes on; 0 where there is none."""
    path = home / CHECKPOINTS / LATEST
    return int(path.read_text()) if path.is_file() else 0


def checkpoint_at(home: Path, step: int) -> Path:
    """The directory of the shards of a rollout."""
    return home / CHECKPOINTS / f"global_step_{step}" / "actor"
