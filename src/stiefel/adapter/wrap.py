"""PEFT's wrapping of a model, made exact: what it leaves at the wrong type, or free to train, is put right."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from peft import PeftConfig, PeftModel, get_peft_config, get_peft_model
from peft.tuners.ln_tuning.layer import LNTuningLayer
from peft.tuners.lora import LoraLayer
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor, nn
from transformers import PreTrainedModel

from ..errors import UserError
from ..methods import Composition, Factors
from ..model import Selection, snapshot
from .anchored import AnchoredA, AnchoredB
from .beside import keep_reference_alike
from .frozen import FrozenFactor
from .sharded import whole
from .start import Settings

ADAPTER = "default"  # PEFT's name for the first adapter of a model


def peft_config(settings: Settings, selection: Selection, shapes: Mapping[str, tuple[int, ...]]) -> PeftConfig:
    """PEFT's settings for weights of these shapes; where they are linear layers, `selection` names them."""
    wanted = settings.wanted(shapes, conv1d=selection.fan_in_fan_out)
    config = {"target_modules": selection.config_targets, **settings.composition.config(wanted)}
    return get_peft_config({**config, "task_type": "CAUSAL_LM"})


def wrap(model: PreTrainedModel, config: PeftConfig, seed: int, names: Iterable[str]) -> PeftModel:
    """PEFT's own wrapping, which keeps the random state and the training mode, and is undone if it fails.

    Raises UserError where PEFT does not adapt exactly the modules of these names. What it draws depends on the seed.
    """
    undo = snapshot(model)
    try:
        with torch.random.fork_rng(), quiet_about_norms():
            torch.manual_seed(seed)
            adapted = get_peft_model(model, config)
        require_modules(adapted, set(names))
    except BaseException:
        undo()
        raise
    assert isinstance(adapted, PeftModel)
    adapted.train(model.training)
    return adapted


@contextmanager
def quiet_about_norms() -> Iterator[None]:
    """Without PEFT's warning that it cannot tell a norm's sizes, which LN tuning does not use.

    That exactly the right modules are adapted is checked after it.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Unsupported layer type", UserWarning)
        yield


def require_modules(model: PeftModel, expected: set[str]) -> None:
    """Raise unless PEFT put adapters on exactly these modules."""
    found = {name for name, _ in tuner_layers(model)}
    if found != expected:
        different = min(found ^ expected)
        raise UserError(
            f"PEFT {'adapts' if different in found else 'leaves out'} {different}",
            f"it found {len(found)} modules by their names, where {len(expected)} are meant",
            "name the targets in full, in a list",
        )


def tuner_layers(model: PeftModel) -> Iterator[tuple[str, Any]]:
    """(name in the base model, PEFT layer) of every module that is adapted, in the model's order."""
    for name, module in model.get_base_model().named_modules():
        if isinstance(module, BaseTunerLayer):
            yield name, module


def lora_layers(model: PeftModel) -> Iterator[tuple[str, LoraLayer]]:
    """(name in the base model, PEFT layer) of every target of a LoRA, in the model's order."""
    for name, module in tuner_layers(model):
        if isinstance(module, LoraLayer) and ADAPTER in module.lora_A:
            yield name, module


def install(module: LoraLayer, factors: Factors, composition: Composition) -> None:
    """Set one LoRA layer's trainable state at its start."""
    set_factors(module, factors, composition)
    if composition.has("dora"):
        module.lora_magnitude_vector[ADAPTER].weight = nn.Parameter(row_norms(module))


def set_factors(module: LoraLayer, factors: Factors, composition: Composition) -> None:
    """Set one LoRA layer's A and B, or their anchors; float32 on the device of its base weight."""
    device = module.get_base_layer().weight.device
    A, B = factors.A.to(device, torch.float32), factors.B.to(device, torch.float32)
    if composition.anchored:
        module.lora_A[ADAPTER], module.lora_B[ADAPTER] = AnchoredA(A), AnchoredB(B)
    else:
        for linear, factor in ((module.lora_A[ADAPTER], A), (module.lora_B[ADAPTER], B)):
            linear.weight = nn.Parameter(factor.clone())
        if composition.frozen_a:
            module.lora_A[ADAPTER] = FrozenFactor(A)
    if composition.anchored or composition.frozen_a:
        keep_reference_alike(module, ADAPTER)
    module.train(module.get_base_layer().training)


@torch.no_grad()
def row_norms(module: LoraLayer) -> Tensor:
    """DoRA's magnitude at the start, ‖W‖ by rows (out,), to the bit as its forward computes it in float32.

    PEFT computes it in the type of W and rounds, so that in bfloat16 the start would not be the base's policy.
    """
    dora = module.lora_magnitude_vector[ADAPTER]
    W = whole(module.get_base_layer().weight).to(torch.float32)
    zeros = torch.zeros_like(W.T if module.fan_in_fan_out else W)
    norms = dora.get_weight_norm(W, zeros, module.scaling[ADAPTER])
    assert isinstance(norms, Tensor)
    return norms


def put_right(model: PeftModel, composition: Composition) -> None:
    """Mend what PEFT leaves wrong in an adapter of its own, after wrapping and after loading."""
    if composition.stands_on == "norms":
        keep_norms_in_float32(model)
    if composition.has("adalora"):
        freeze_divisors(model)


def freeze_divisors(model: PeftModel) -> None:
    """Keep init_r, by which AdaLoRA divides alpha, a constant.

    PEFT's cast of a bfloat16 model's adapter to float32 turns it into a parameter that trains and is not saved.
    """
    for _, module in lora_layers(model):
        device = module.get_base_layer().weight.device
        constant = torch.tensor([float(module.r[ADAPTER])], device=device)
        module.ranknum[ADAPTER] = nn.Parameter(constant, requires_grad=False)


def keep_norms_in_float32(model: PeftModel) -> None:
    """Let LN tuning's copies be float32, so that small steps are not rounded away, with the base's type as output.

    PEFT leaves them in the model's type. A product of two bfloat16 numbers that is formed in float32 and rounded is
    the one that bfloat16 arithmetic gives, so that the start stays exact.
    """
    for _, module in tuner_layers(model):
        assert isinstance(module, LNTuningLayer)
        copy = module.ln_tuning_layers[ADAPTER].to(torch.float32)
        copy.register_forward_hook(lambda norm, inputs, output: output.to(inputs[0].dtype))
