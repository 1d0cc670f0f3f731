"""The adapter directory that a user means: that directory, a run's, or a checkpoint's."""

from __future__ import annotations

from pathlib import Path

from ..artifacts import ADAPTER, CERTIFICATE, RECIPE, STATE, require_directory
from ..errors import UserError
from .files import CONFIG_FILE, FACTORS_FILE


def adapter_in(path: Path) -> Path:
    """The `adapter/` of a run or of a checkpoint of one; any other path as it is.

    Raises UserError for a run that has not left one yet.
    """
    if (path / RECIPE).is_file():
        if not (path / ADAPTER).is_dir():
            raise UserError(
                f"{path} is a run without an adapter", "it has not come to its end", "train it to the end: --resume"
            )
        return path / ADAPTER
    return path / ADAPTER if (path / STATE).is_file() else path


def find_adapter(path: Path) -> Path:
    """`adapter_in`, ours or PEFT's.

    Raises UserError for a directory that holds none, and for weights that are pickled.
    """
    instead = "give what `stiefel init` or `stiefel train` wrote, or a PEFT adapter's directory"
    require_directory(path, instead)
    found = adapter_in(path)
    if not (found / CERTIFICATE).is_file() and not (found / CONFIG_FILE).is_file():
        raise UserError(
            f"{path} is no adapter",
            f"there is no {CERTIFICATE}, {CONFIG_FILE} or {RECIPE} in it",
            instead,
        )
    if not (found / CERTIFICATE).is_file() and not (found / FACTORS_FILE).is_file():
        raise UserError(
            f"{path} holds no {FACTORS_FILE}",
            "pickled weights (.bin) can run code when they are read, so they never are",
            "save the adapter again with PEFT, which writes safetensors",
        )
    return found
