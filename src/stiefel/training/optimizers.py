"""The optimizer that a model's method asks for, by its certificate."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from peft import PeftModel
from torch import Tensor, nn
from torch.optim import Optimizer

from ..adapter import (
    ADAPTER,
    AnchoredFactor,
    certificate_of,
    lora_layers,
    own_weights,
    row_norms,
    sharded_as,
    tuner_layers,
)
from ..errors import UserError, nearest
from ..methods import Composition
from .own_weights import MasterAdamW
from .steps import CentredAdamW, ProjectedAdamW

WEIGHT_DECAY_ON = ("delta", "factors")


def make_optimizer(
    model: nn.Module,
    *,
    lr: float,
    weight_decay: float = 0.0,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay_on: str = "delta",
) -> Optimizer:
    """AdamW as the model's method wants it; groups are named, and none is empty.

    Anchored factors: `delta` decays ΔA and ΔB, which pulls towards the base, `factors` A and B themselves, as the
    published methods do. Scales, whose zero would switch a layer off (DoRA's m, IA³'s l, norms): `delta` decays them
    towards their start, `factors` not at all. The model's own weights: `delta` towards the base, `factors` towards 0,
    but not biases and norms. Everything else decays towards 0 under both. Raises UserError for a model that carries no
    certificate or another word.
    """
    if weight_decay_on not in WEIGHT_DECAY_ON:
        raise UserError(
            f"weight_decay_on = {weight_decay_on!r} is not known",
            "weight decay pulls either the change or the factors towards 0",
            nearest(weight_decay_on, WEIGHT_DECAY_ON),
        )
    certificate = certificate_of(model)
    composition = certificate.composition
    ratio = float(certificate.options["ratio"]) if composition.has("lora_plus") else 1.0
    defaults: dict[str, Any] = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
    if not composition.is_peft:
        return MasterAdamW(own_weights(model), decay_to_base=weight_decay_on == "delta", **defaults)
    assert isinstance(model, PeftModel)
    starts = scales(model, composition)
    groups = parameter_groups(model, composition, set(starts), lr, ratio)
    if weight_decay_on == "factors":
        for group in groups:
            if group["name"] == "scales":
                group["weight_decay"] = 0.0
        centres = {parameter: (anchor, -1.0) for parameter, anchor in anchors(model)}
    else:
        centres = {parameter: (start, 1.0) for parameter, start in starts.items()}
    if composition.frozen_a:
        return ProjectedAdamW(groups, centres, factors(model), **defaults)
    return CentredAdamW(groups, centres, **defaults)


def is_plain(optimizer: Optimizer) -> bool:
    """True where it does what AdamW does, which knows its parameters by their groups alone."""
    return type(optimizer) is CentredAdamW and not optimizer.centres


def rates(optimizer: Optimizer) -> dict[str, float]:
    """The learning rate of every group, by its name."""
    return {group["name"]: float(group["lr"]) for group in optimizer.param_groups}


def other_rates(optimizer: Optimizer, rate: float) -> dict[str, float]:
    """The rate of every group that has another than the first, as `learning_rate_NAME`, where the first's is `rate`.

    To be asked once a schedule is made, which keeps the rates' ratios.
    """
    first = optimizer.param_groups[0]["initial_lr"]
    return {
        f"learning_rate_{group['name']}": rate * group["initial_lr"] / first
        for group in optimizer.param_groups
        if group["initial_lr"] != first
    }


def parameter_groups(
    model: PeftModel, composition: Composition, scaled: set[nn.Parameter], lr: float, ratio: float
) -> list[dict[str, Any]]:
    """The trainable parameters: B's apart where its rate is another, and scales apart; no empty groups."""
    b_side: set[nn.Parameter] = set()
    if composition.has("lora_plus"):
        b_side = {p for _, module in lora_layers(model) for p in module.lora_B[ADAPTER].parameters()}
    groups: dict[str, list[nn.Parameter]] = {}
    first = "A" if b_side else "weights"
    for parameter in model.parameters():
        if parameter.requires_grad:
            name = "B" if parameter in b_side else "scales" if parameter in scaled else first
            groups.setdefault(name, []).append(parameter)
    return [
        {"name": name, "params": found, "lr": lr * ratio if name == "B" else lr}
        for name, found in sorted(groups.items())
    ]


def scales(model: PeftModel, composition: Composition) -> dict[nn.Parameter, Tensor]:
    """Parameters that multiply, and what each was at the start."""
    found: dict[nn.Parameter, Tensor] = {}
    for _, module in tuner_layers(model):
        if composition.has("dora"):
            found[module.lora_magnitude_vector[ADAPTER].weight] = row_norms(module)
        elif composition.has("ia3"):
            found[module.ia3_l[ADAPTER]] = torch.ones_like(module.ia3_l[ADAPTER])
        elif composition.has("ln_tuning"):
            trained = dict(module.ln_tuning_layers[ADAPTER].named_parameters())
            for name, start in module.base_layer.named_parameters():
                found[trained[name]] = start.detach().to(trained[name])
    return found


def anchors(model: PeftModel) -> Iterator[tuple[nn.Parameter, Tensor]]:
    """(ΔA, A₀) and (ΔB, B₀) of every anchored factor, the anchors sharded as the changes are (FSDP2)."""
    for module in model.modules():
        if isinstance(module, AnchoredFactor):
            yield module.delta, sharded_as(module.anchor, module.delta)


def factors(model: PeftModel) -> Iterator[tuple[nn.Parameter, Tensor, float]]:
    """(B, A, s) of every LoRA layer whose A is frozen."""
    for _, module in lora_layers(model):
        yield module.lora_B[ADAPTER].weight, module.lora_A[ADAPTER].weight, float(module.scaling[ADAPTER])
