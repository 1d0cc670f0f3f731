"""A checkpoint of verl in the form that another engine, or a command of ours, wants."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from ..adapter import export, require_verified, save_whole
from ..artifacts import check_room, whole_directory
from ..errors import UserError
from ..model import DTYPES, load_model, model_files
from .checkpoint import adapter_of, weights_of
from .start import START


def export_checkpoint(
    checkpoint: Path, model: str, form: str, out: Path, *, force: bool = False, revision: str = "", **settings: Any
) -> None:
    """As `export` of an adapter directory; `lora` is a certified one, with its certificate and anchors.

    `merged` takes a checkpoint of full fine-tuning too. Raises UserError for what `adapter_of` refuses, and for
    another base.
    """
    if form == "merged" and not (checkpoint / START).is_dir() and (weights := weights_of(checkpoint)):
        export_weights(weights, model, out, force=force, revision=revision, **settings)
        return
    with tempfile.TemporaryDirectory() as scratch:
        made = Path(scratch) / "adapter"
        adapter_of(checkpoint, made)
        require_verified(made, model, checkpoint, revision)
        if form != "lora":
            export(made, model, form, out, force=force, revision=revision, **settings)
            return
        check_room(out, force=force, kind="adapter")
        with whole_directory(out) as building:
            shutil.copytree(made, building, dirs_exist_ok=True)


def export_weights(
    weights: dict[str, Tensor],
    model: str,
    out: Path,
    *,
    dtype: str = "auto",
    force: bool = False,
    revision: str = "",
    turn_ends: Sequence[str] = (),
) -> None:
    """The model with these weights in the place of its own, each rounded once."""
    local = str(model_files(model, revision))
    base = load_model(local, dtype)
    others = weights.keys() ^ base.state_dict().keys()
    if others:
        raise UserError(
            f"the checkpoint is of another model than {model}",
            f"{min(others)} is in one of them and not in the other",
            "give the model that it was trained from",
        )
    check_room(out, force=force, kind="adapter")
    base.load_state_dict(weights)
    kind = None if dtype == "auto" else DTYPES[dtype]
    with whole_directory(out) as building:
        save_whole(base if kind is None else base.to(kind), local, building, turn_ends)
