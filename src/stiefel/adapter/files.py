"""The files of an adapter directory: their names, and the names in them."""

from __future__ import annotations

import json
from pathlib import Path

from ..artifacts import read_json, write_text

ANCHORS_FILE, FACTORS_FILE, CONFIG_FILE = "anchors.safetensors", "adapter_model.safetensors", "adapter_config.json"
WEIGHTS_FILE = "weights.safetensors"  # of a method that trains the model's own


def sort_targets(directory: Path) -> None:
    """Write the targets of adapter_config.json in order: PEFT keeps them in sets, whose order differs by process."""
    path = directory / CONFIG_FILE
    config = read_json(path)
    for key in ("target_modules", "feedforward_modules"):  # the latter IA³'s
        if isinstance(config.get(key), list):
            config[key].sort()
    write_text(path, json.dumps(config, indent=2, sort_keys=True))


def factor_names(target: str) -> tuple[str, str]:
    """A's and B's names in adapter_model.safetensors, as PEFT and serving engines read them."""
    return f"base_model.model.{target}.lora_A.weight", f"base_model.model.{target}.lora_B.weight"
