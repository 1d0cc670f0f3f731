"""The files of an adapter directory: their names, the names in them, their digests."""

from __future__ import annotations

import hashlib
from pathlib import Path

ANCHORS_FILE, FACTORS_FILE, CONFIG_FILE = "anchors.safetensors", "adapter_model.safetensors", "adapter_config.json"
WEIGHTS_FILE = "weights.safetensors"  # of a method that trains the model's own


def factor_names(target: str) -> tuple[str, str]:
    """A's and B's names in adapter_model.safetensors, as PEFT and serving engines read them."""
    return f"base_model.model.{target}.lora_A.weight", f"base_model.model.{target}.lora_B.weight"


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
