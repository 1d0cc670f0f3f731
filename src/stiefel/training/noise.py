"""Whether a model draws at random while it trains."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from peft import PeftModel
from torch import nn
from transformers import PreTrainedModel

RANDOM = re.compile("drop|jitter")  # in a config's keys: attention_dropout, attn_pdrop, router_jitter_noise


def drops_out(model: nn.Module) -> bool:
    """True where the model draws at random while it trains: in a module, or where its config asks a layer to.

    Attention's dropout and a router's noise are often a layer's own doing, known by the config's key alone.
    """
    if any(isinstance(module, nn.Dropout) and module.p > 0 for module in model.modules()):
        return True
    assert isinstance(model, PreTrainedModel | PeftModel)
    return asks_for_noise(model.config.to_dict())


def asks_for_noise(settings: Mapping[Any, Any]) -> bool:
    """True where a config, or one that it holds (`attn_config`), has a key of dropout or noise above 0."""
    for key, value in settings.items():
        if isinstance(value, Mapping):
            if asks_for_noise(value):
                return True
        elif RANDOM.search(str(key)) and isinstance(value, int | float) and value > 0:
            return True
    return False
