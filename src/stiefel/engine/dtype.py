"""The type of a checkpoint's weights, which "auto" means here; vLLM's own "auto" rounds float32 to bfloat16."""

from __future__ import annotations

from pathlib import Path

from transformers import AutoConfig

from ..errors import UserError
from ..model import read_header

KINDS = {"F32": "float32", "BF16": "bfloat16", "F16": "float16"}  # safetensors' words


def own_dtype(directory: Path) -> str:
    """The type that transformers loads a directory in: the one that config.json names, or else the first weight's."""
    named = AutoConfig.from_pretrained(str(directory), trust_remote_code=False, local_files_only=True).dtype
    if named is not None:
        return str(named).removeprefix("torch.")
    for path in sorted(directory.glob("*.safetensors")):
        for entry in read_header(path).values():
            if entry.dtype in KINDS:
                return KINDS[entry.dtype]
    raise UserError(
        f"{directory} does not say of which type its weights are",
        f"neither config.json nor a weight does, which would be {', '.join(KINDS.values())}",
        "give --dtype",
    )
