"""Weights for an inference engine: the merged policy, layer by layer, beside the base and never in it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import torch
from peft import PeftModel
from peft.tuners.tuners_utils import BaseTuner, BaseTunerLayer
from peft.utils import AuxiliaryTrainingWrapper, ModulesToSaveWrapper
from torch import Tensor, nn

from ..adapter import whole
from ..errors import UserError

Witness = Callable[[str, Tensor, Tensor, Tensor], None]  # of a merged weight: its name, W, W + ΔW in float32, as sent


@torch.no_grad()
def policy_weights(model: nn.Module, witness: Witness | None = None) -> Iterator[tuple[str, Tensor]]:
    """(name, tensor) of every weight of the policy, under the names, shapes and types that its base has.

    An adapted layer gives W + s·BA, or what its kind of adapter makes of W, which PEFT's own merge computes on a copy
    in float32 that is rounded once to W's type; everything else is given as it is, tied weights once. Merging in place
    and taking it out again, as PEFT and TRL do, leaves W rounded twice every time. Sharded weights (FSDP2) are gathered
    one layer at a time, so every process must iterate. `witness` sees what is merged before it is rounded, and after.
    Raises UserError for an adapter that cannot be merged. Memory: one layer in float32 beside the model. Cost: O(mnr) a
    layer.
    """
    if isinstance(model, PeftModel):
        if not isinstance(model.base_model, BaseTuner):
            raise unmergeable(f"{model.active_peft_config.peft_type.value} adapters", "they change no weight")
        model = model.get_base_model()
    yield from walk(model, "", set(), witness)


def walk(module: nn.Module, prefix: str, seen: set[int], witness: Witness | None) -> Iterator[tuple[str, Tensor]]:
    """The weights below a module, in the order of `named_parameters`; `seen` holds the parameters already given."""
    if isinstance(module, BaseTunerLayer):
        yield from ((prefix + name, tensor) for name, tensor in merged(module, prefix.removesuffix("."), witness))
        return
    if isinstance(module, ModulesToSaveWrapper):
        (name,) = module.active_adapters
        yield from walk(module.modules_to_save[name], prefix, seen, witness)
        return
    if isinstance(module, AuxiliaryTrainingWrapper):
        raise unmergeable(f"{type(module).__name__} at {prefix}", "it trains rows of a weight beside it")
    for name, parameter in module.named_parameters(recurse=False):
        if id(parameter) not in seen:
            seen.add(id(parameter))
            yield prefix + name, whole(parameter.detach())
    for name, child in module.named_children():
        yield from walk(child, f"{prefix}{name}.", seen, witness)


def merged(layer: Any, name: str, witness: Witness | None = None) -> Iterator[tuple[str, Tensor]]:
    """The merged weights of one adapted layer, under their names in the layer that it stands for."""
    bases = dict(layer.get_base_layer().named_parameters())
    if not all(base.dtype.is_floating_point for base in bases.values()):
        raise unmergeable(f"{name}, whose weight is quantized,", "the sum has no place in its integers")
    for key, parameter in merged_beside(layer, name, exact).named_parameters():
        sent = parameter.detach().to(bases[key].dtype)
        if witness is not None and key == "weight":
            witness(name, whole(bases[key].detach()), parameter.detach(), sent)
        yield key, sent


def merged_beside(layer: Any, name: str, copy_of: Callable[[Tensor], Tensor]) -> nn.Module:
    """The layer that an adapted one stands for, merged by PEFT, made of the copies that `copy_of` gives of tensors."""
    replacements = {id(tensor): copy_of(tensor) for tensor in (*layer.parameters(), *layer.buffers())}
    beside = copy.deepcopy(layer, replacements)  # a memo: no tensor of the layer itself is copied or shared
    try:
        for part in [module for module in beside.modules() if isinstance(module, BaseTunerLayer)]:
            part.merge()
    except NotImplementedError as error:
        raise unmergeable(f"{type(layer).__name__} at {name}", str(error)) from error
    merged_layer = beside.get_base_layer()
    assert isinstance(merged_layer, nn.Module)
    return merged_layer


def exact(tensor: Tensor) -> Tensor:
    """A copy that sums are exact enough in: float32, or wider where it is wider."""
    value = whole(tensor.detach()).clone()
    if value.is_floating_point():
        value = value.to(torch.promote_types(value.dtype, torch.float32))
    return nn.Parameter(value, requires_grad=False) if isinstance(tensor, nn.Parameter) else value


def unmergeable(what: str, why: str) -> UserError:
    """The error for an adapter that no engine can be given as weights."""
    return UserError(
        f"{what} cannot be merged into weights for vLLM", why, 'generate in the trainer: rollout.engine = "hf"'
    )
