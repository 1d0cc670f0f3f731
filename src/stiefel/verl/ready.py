"""Before verl is started: its version, and that the adapter is the one that the script was written for."""

from __future__ import annotations

from pathlib import Path

from ..errors import UserError
from .carried import in_directory
from .handed import read_handed
from .installed import require_verl


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
    Path(told["failed"]).unlink(missing_ok=True)
