"""A checkpoint of verl in the form that another engine, or a command of ours, wants."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

from ..adapter import export, verify
from ..artifacts import check_room, whole_directory
from ..errors import UserError
from .checkpoint import adapter_of


def export_checkpoint(
    checkpoint: Path, model: str, form: str, out: Path, *, force: bool = False, revision: str = "", **settings: Any
) -> None:
    """As `export` of an adapter directory; `lora` is a certified one, with its certificate and anchors.

    Raises UserError for what `adapter_of` refuses, and for another base.
    """
    with tempfile.TemporaryDirectory() as scratch:
        made = Path(scratch) / "adapter"
        adapter_of(checkpoint, made)
        wrong = [check for check in verify(made, model, revision) if not check.holds]
        if wrong:
            raise UserError(
                f"{checkpoint} does not stand on {model} as the certificate of its start says",
                f"{wrong[0].name}: {wrong[0].detail}",
                "give the base that it was trained from",
            )
        if form != "lora":
            export(made, model, form, out, force=force, revision=revision, **settings)
            return
        check_room(out, force=force, kind="adapter")
        with whole_directory(out) as building:
            shutil.copytree(made, building, dirs_exist_ok=True)
