"""The policy for an inference engine as what it is: the base, which the engine has, and two factors a layer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel
from peft.tuners.lora import LoraLayer
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from ..adapter import ADAPTER, CONFIG_FILE, FACTORS_FILE, factor_names, lora_layers, tuner_layers, whole
from ..artifacts import write_json
from ..errors import UserError

# layers on which vLLM serves no LoRA, or one that its log-probabilities leave out (vllm-project/vllm#51594)
HEADS = ("lm_head", "embed_tokens")


@dataclass(frozen=True)
class LayerFactors:
    """The change of one layer, ΔW = B·A with the scaling in B: A (k, in), B (out, k), float32; k = r, anchored 2r."""

    name: str
    A: Tensor
    B: Tensor

    def to(self, dtype: torch.dtype) -> LayerFactors:
        """As they are sent: each rounded once to the engine's type."""
        return LayerFactors(self.name, self.A.to(dtype), self.B.to(dtype))

    @property
    def nbytes(self) -> int:
        """Of both."""
        return self.A.nbytes + self.B.nbytes


@torch.no_grad()
def policy_factors(model: PeftModel) -> Iterator[LayerFactors]:
    """Every adapted layer's change as factors, in the model's order.

    Of an anchored adapter they are [A₀ + ΔA; ΔA] and s·[ΔB, B₀], whose rounding costs a share of the update, where that
    of [A; A₀] and [B, −B₀] costs a share of the start, however small the update is. Sharded factors (FSDP2) are
    gathered, so every process must iterate. Raises UserError where the adapter is more than such factors. Memory: one
    layer's factors.
    """
    require_factors(model)
    for name, layer in lora_layers(model):
        A, B = (whole(factors[ADAPTER].weight.detach()).to(torch.float32) for factors in (layer.lora_A, layer.lora_B))
        yield LayerFactors(name, A, layer.scaling[ADAPTER] * B)


def serves_factors(model: nn.Module) -> bool:
    """Whether the policy is the base and factors beside it, and nothing else."""
    return not why_not_factors(model)


def require_factors(model: nn.Module) -> None:
    """Raise for a policy that is more than factors beside the base, or none."""
    why = why_not_factors(model)
    if why:
        raise UserError(
            'rollout.sync = "factors" for this adapter', why, 'rollout.sync = "merged", or leave rollout.sync out'
        )


def why_not_factors(model: Any) -> str:
    """What of the policy an engine that serves LoRA would not be given; nothing where factors say it all."""
    if not isinstance(model, PeftModel):
        return "the model's own weights train: there is no adapter"
    if model.active_adapters != [ADAPTER]:
        return f"its active adapters are {', '.join(model.active_adapters)}, and one is sent"
    config = model.peft_config[ADAPTER]
    if not isinstance(config, LoraConfig) or config.peft_type != "LORA":
        return f"{config.peft_type.value} has no factors A and B that an engine serves beside a model"
    more = [
        (config.use_dora, "DoRA's magnitudes are no factors"),
        (config.bias != "none" or config.lora_bias, "it trains biases"),
        (config.modules_to_save, f"it trains {config.modules_to_save} whole"),
        (config.target_parameters, f"it adapts the parameters {config.target_parameters}, which are no layers"),
        (config.trainable_token_indices, "it trains rows of the embedding"),
        (config.alora_invocation_tokens, "it is switched on by tokens of the prompt (aLoRA)"),
        (config.layer_replication, "it repeats layers"),
    ]
    found = next((why for holds, why in more if holds), "")
    return found or next(filter(None, (of_a_layer(*each) for each in tuner_layers(model))), "")


def of_a_layer(name: str, layer: Any) -> str:
    """The same of one layer."""
    if name.rpartition(".")[2] in HEADS:
        return f"{name} is adapted: engines serve no LoRA there, or leave it out of their log-probabilities"
    assert isinstance(layer, LoraLayer)
    if ADAPTER in layer.lora_variant:
        return f"{type(layer.lora_variant[ADAPTER]).__name__} at {name} is no plain LoRA"
    if not isinstance(layer.get_base_layer(), nn.Linear | Conv1D):
        return f"{name} is a {type(layer.get_base_layer()).__name__} and no linear layer"
    return ""


def largest_rank(model: PeftModel) -> int:
    """The k of the widest layer, for which the engine must have room."""
    return max(int(layer.lora_A[ADAPTER].weight.shape[0]) for _, layer in lora_layers(model))


def write_factors(layers: list[LayerFactors], base: str, out: Path) -> None:
    """PEFT's two files of a plain LoRA whose scaling is 1, so that whoever loads them rounds nothing more."""
    rank = max(len(layer.A) for layer in layers)
    narrower = {layer.name: len(layer.A) for layer in layers if len(layer.A) < rank}
    config = LoraConfig(
        r=rank,
        lora_alpha=rank,
        rank_pattern=narrower,
        alpha_pattern=narrower,
        target_modules=sorted(layer.name for layer in layers),
        base_model_name_or_path=base,
        task_type="CAUSAL_LM",
        inference_mode=True,
    )
    tensors = {}
    for layer in layers:
        name_A, name_B = factor_names(layer.name)
        tensors[name_A], tensors[name_B] = layer.A.cpu().contiguous(), layer.B.cpu().contiguous()
    save_file(tensors, out / FACTORS_FILE, metadata={"format": "pt"})
    write_json(out / CONFIG_FILE, {**config.to_dict(), "target_modules": sorted(config.target_modules or ())})
