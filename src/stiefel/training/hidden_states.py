"""Whether TRL finds the hidden states of which it makes log-probabilities."""

from __future__ import annotations

from typing import Any

from transformers import PreTrainedModel

from ..errors import UserError
from .shared_prompts import causal


def require_hidden_states(model: Any) -> None:
    """Raise for a class whose hidden states TRL cannot have: it takes them from `base_model`, and that is itself."""
    bare = causal(model)
    if isinstance(bare, PreTrainedModel) and bare.base_model is bare:
        raise UserError(
            f"{type(bare).__name__} cannot be trained",
            "TRL computes log-probabilities of the hidden states below the output head, which this class does not name",
            "give another model, or train this one in a script of your own",
        )
