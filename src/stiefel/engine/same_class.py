"""Whether vLLM runs the class that is trained: another has other names, and passes over what it is sent by these."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from ..artifacts import read_json
from ..errors import UserError


def require_same_class(model: nn.Module, directory: Path, instead: str) -> None:
    """Raise where a directory's config.json names another class than that of the model which was made of it.

    So it is where transformers loads the language model alone of one that reads images too (Qwen3.5): vLLM runs the
    whole, in which each layer has a longer name. model: without an adapter. FSDP2 puts a class of its own before it.
    """
    named = read_json(directory / "config.json").get("architectures") or []
    if named and not {kind.__name__ for kind in type(model).__mro__} & set(named):
        raise UserError(
            f"weights of {type(model).__name__} for vLLM, which runs {directory} as {named[0]}",
            "their layers have other names, and vLLM passes over what is sent for a layer that it has not",
            instead,
        )
