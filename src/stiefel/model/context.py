"""The longest sequence that a model was made for, and the error of one that is longer."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..artifacts import read_json
from ..errors import UserError


def beyond_context(model: str, limit: int, prompt: int, completion: int, instead: str, of: str = "") -> UserError:
    """The error of a prompt and a completion, in tokens, that are longer than a model was made for."""
    return UserError(
        f"a prompt of {prompt} tokens and a completion of {completion} do not fit {model}",
        f"its context is {limit} tokens, beyond which it writes noise" + (of and f": {of}"),
        instead,
    )


def context_length(directory: Path) -> int:
    """The longest sequence that the model in a directory was made for, as `context_of` has it."""
    return context_of(read_json(directory / "config.json"))


def context_of(config: Mapping[str, Any]) -> int:
    """The longest sequence that a model of these settings was made for; 0 where they do not say, or scale positions."""
    text = {**config, **(config.get("text_config") or {})}
    scaling = text.get("rope_scaling") or text.get("rope_parameters") or {}
    if scaling.get("rope_type", scaling.get("type", "default")) != "default":
        return 0
    return int(text.get("max_position_embeddings") or text.get("n_positions") or 0)
