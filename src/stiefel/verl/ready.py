"""Before verl is started: its version, that adapter and recipe are the script's, and what it would go on from."""

from __future__ import annotations

from pathlib import Path

from ..artifacts import file_digest
from ..errors import UserError
from .carried import in_directory
from .failure import require_no_failure, require_whole
from .handed import read_handed
from .installed import require_verl
from .resumed import checkpoint_at, latest_step, require_trained


def require_ready() -> None:
    """Raise UserError where a script's verl would not train what it says; forget an earlier start's broken reward."""
    require_verl("the script")
    told = read_handed()
    if told["adapter"]:
        found = in_directory(Path(told["adapter"]))
        if (found.rank, found.alpha) != (told["rank"], told["alpha"]):
            raise UserError(
                f"{told['adapter']} has rank {found.rank} and alpha {found.alpha}",
                f"the script was written for rank {told['rank']} and alpha {told['alpha']}, and verl would load the "
                "adapter beside other settings without a word",
                "launch again: stiefel launch verl RECIPE.toml --out SCRIPT --force",
            )
    if told["digest"] != file_digest(Path(told["recipe"])):
        raise UserError(
            f"{told['recipe']} was changed since the launch",
            "rows and rewards would be of another recipe than the settings in the script",
            "keep the recipe elsewhere, and launch again: stiefel launch verl RECIPE.toml --out SCRIPT --force",
        )
    failed = Path(told["failed"])
    require_whole(failed)
    step = latest_step(failed.parent)
    if step and checkpoint_at(failed.parent, step).is_dir():
        require_trained(checkpoint_at(failed.parent, step), told["settings"], told["world"])


def require_ended() -> None:
    """Raise UserError where a reward has failed: verl ends well all the same, if it was the last rollout's."""
    require_no_failure(Path(read_handed()["failed"]))
