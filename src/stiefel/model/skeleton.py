"""A model without its weights: the modules and shapes that a directory's config.json describes."""

from __future__ import annotations

from pathlib import Path

import torch
from huggingface_hub.errors import StrictDataclassError
from transformers import CONFIG_MAPPING, AutoConfig, PreTrainedModel

from ..artifacts import read_json
from ..errors import UserError
from .modalities import auto_class, refuse_encoder_decoder

CONFIG = "config.json"
# What transformers raises for a config.json with a value that no model has; it has no error class of its own for it.
BAD_CONFIG = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    ImportError,
    LookupError,
    OSError,
    RuntimeError,
    StrictDataclassError,
    TypeError,
    ValueError,
)


def build_skeleton(directory: Path) -> PreTrainedModel:
    """The language model of a directory's config.json, on the meta device: modules and shapes, no weights.

    Of one that reads images too it holds these modules as well.

    Runs no code of the directory. Raises UserError where transformers does not know the model. Cost: some
    milliseconds a layer, no memory for weights.
    """
    refuse_own_code(directory)
    try:
        config = AutoConfig.from_pretrained(str(directory), trust_remote_code=False, local_files_only=True)
        refuse_encoder_decoder(config, directory)
        with torch.device("meta"):
            skeleton = auto_class(config.model_type, directory).from_config(config, trust_remote_code=False)
    except BAD_CONFIG as error:
        raise UserError(
            f"{directory} is not a causal language model that transformers can build",
            f"{type(error).__name__}: {' '.join(str(error).split())[:300]}",
            "check its config.json",
        ) from error
    assert isinstance(skeleton, PreTrainedModel)
    return skeleton


def refuse_own_code(directory: Path) -> None:
    """Raise for a model that transformers does not know and whose files bring the code."""
    config = read_json(directory / CONFIG) if (directory / CONFIG).is_file() else {}
    if isinstance(config, dict) and "auto_map" in config and config.get("model_type") not in CONFIG_MAPPING:
        raise UserError(
            f"{directory} is of the type {config.get('model_type')!r}, which this transformers does not know",
            "its files bring code of their own, and code that comes with weights is never run",
            "a newer transformers, or a model of a type that it knows",
        )
