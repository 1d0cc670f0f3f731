"""What a sync gives to the rollout's engine, and how much of the trained update that engine plays."""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from verl.workers.engine.fsdp.utils import unfuse_moe_params

from ..adapter import ADAPTER, factor_names, lora_layers
from ..engine import LayerFactors, Sent, Survival, of_factors, of_weights, policy_weights, together

DTYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16, "float32": torch.float32}


@dataclass(frozen=True)
class Told:
    """A sync as a row of syncs.jsonl, and as figures for verl's metrics."""

    row: Sent

    @property
    def figures(self) -> dict[str, float]:
        """`sync_survival` and `sync_error`; none before anything has moved."""
        every = together(self.row.layers.values())
        return {} if math.isnan(every.survival) else {"sync_survival": every.survival, "sync_error": every.error}


def sent_factors(payload: Mapping[str, Tensor], policy: Any, dtype: str) -> Told:
    """Of factors: an engine rounds A and B to its type, and then s·B once more, as vLLM does when it loads a LoRA."""
    kind = DTYPES[dtype]
    layers: dict[str, Survival] = {}
    nbytes = 0
    for name, layer in lora_layers(policy):
        A, B = (payload[key].to(torch.float32) for key in factor_names(name))
        s = float(layer.scaling[ADAPTER])
        played = LayerFactors(name, A.to(kind), s * B.to(kind))
        layers[name] = of_factors(LayerFactors(name, A, s * B), played)
        nbytes += played.nbytes
    return Told(Sent("factors", dtype, nbytes, layers))


def sent_merged(policy: Any, model_type: str, dtype: str) -> Generator[tuple[str, Tensor], None, Told]:
    """Of whole weights, which it yields as the engine's loader names them."""
    kind = DTYPES[dtype]
    layers: dict[str, Survival] = {}
    nbytes = 0

    def witness(name: str, base: Tensor, trained: Tensor, sent: Tensor) -> None:
        layers[name] = of_weights(base, trained, sent.to(kind))

    for name, tensor in unfuse_moe_params(policy_weights(policy, witness), model_type):
        nbytes += tensor.nbytes
        yield name, tensor
    return Told(Sent("merged", dtype, nbytes, layers))
