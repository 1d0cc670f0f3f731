"""The files of an adapter directory: their names, and the names in them."""

from __future__ import annotations

import json
from pathlib import Path

from ..artifacts import read_json, write_text
from ..model import public_name

ANCHORS_FILE, FACTORS_FILE, CONFIG_FILE = "anchors.safetensors", "adapter_model.safetensors", "adapter_config.json"
WEIGHTS_FILE = "weights.safetensors"  # of a method that trains the model's own


def settle_config(directory: Path) -> str:
    """Write adapter_config.json alike in every process and place, and give the base's name.

    PEFT keeps targets in sets, whose order differs by process, and the base by the path from which it was loaded, of
    which nothing here is loaded again. Of a mixture of experts it names no parameters by an empty list, not by none.
    """
    path = directory / CONFIG_FILE
    config = read_json(path)
    for key in ("target_modules", "feedforward_modules"):  # the latter IA³'s
        if isinstance(config.get(key), list):
            config[key].sort()
    if config.get("target_parameters") == []:
        config["target_parameters"] = None
    config["base_model_name_or_path"] = public_name(config["base_model_name_or_path"] or "")
    write_text(path, json.dumps(config, indent=2, sort_keys=True))
    return str(config["base_model_name_or_path"])


def factor_names(target: str) -> tuple[str, str]:
    """A's and B's names in adapter_model.safetensors, as PEFT and serving engines read them."""
    return f"base_model.model.{target}.lora_A.weight", f"base_model.model.{target}.lora_B.weight"
