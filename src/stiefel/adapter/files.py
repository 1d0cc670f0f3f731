"""The files of an adapter directory: their names, and the names in them."""

from __future__ import annotations

ANCHORS_FILE, FACTORS_FILE, CONFIG_FILE = "anchors.safetensors", "adapter_model.safetensors", "adapter_config.json"
WEIGHTS_FILE = "weights.safetensors"  # of a method that trains the model's own


def factor_names(target: str) -> tuple[str, str]:
    """A's and B's names in adapter_model.safetensors, as PEFT and serving engines read them."""
    return f"base_model.model.{target}.lora_A.weight", f"base_model.model.{target}.lora_B.weight"
