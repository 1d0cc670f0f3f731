"""The start of a run beside each of its checkpoints: which adapter the shards change, whole and certified."""

from __future__ import annotations

import shutil
from pathlib import Path

from ..adapter import ANCHORS_FILE, CONFIG_FILE, FACTORS_FILE
from ..artifacts import CERTIFICATE, file_digest, whole_directory
from ..errors import UserError

START = "start"  # in global_step_N/actor
FILES = (CONFIG_FILE, FACTORS_FILE, ANCHORS_FILE, CERTIFICATE)


def keep_start(adapter: Path, checkpoint: Path) -> None:
    """Copy the directory that the run started from, of which the shards hold no more than what trained."""
    if (checkpoint / START).is_dir():
        return
    with whole_directory(checkpoint / START) as building:
        for name in FILES:
            if (adapter / name).is_file():
                shutil.copyfile(adapter / name, building / name)


def require_start(adapter: Path, checkpoint: Path) -> None:
    """Raise unless a checkpoint is one of a run that started from this adapter."""
    kept = checkpoint / START
    if not kept.is_dir():
        raise UserError(
            f"{checkpoint} has no {START}/",
            "it was not written with stiefel.verl.plugin, so that what its factors stand around is not known",
            "go on from a checkpoint of this run, or train without one",
        )
    for name in FILES:
        if digest(kept / name) != digest(adapter / name):
            raise UserError(
                f"{checkpoint} is a checkpoint of another adapter than {adapter}",
                f"its {START}/{name} differs",
                "go on with the adapter that it was trained from, or train without it",
            )


def digest(path: Path) -> str:
    """Of a file; nothing where there is none."""
    return file_digest(path) if path.is_file() else ""
