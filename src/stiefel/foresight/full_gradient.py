"""G₀ = ∇_W L of every target matrix on the base, reduced to two numbers a matrix as soon as it is complete."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from ..adapter import lora_layers
from ..spectrum import frobenius_norm
from .probe import ProbeTrainer

BUDGET = 2**30  # bytes of gradients held at once, where a step has several micro-batches to sum over


@dataclass(frozen=True)
class FullGradient:
    """What full fine-tuning's first step has to do with one matrix, per unit of its rate."""

    norm: float  # ‖G₀‖_F: plain gradient descent's ‖ΔW₁‖_F/η
    adamw: float  # ‖G₀/(|G₀| + ε)‖_F: AdamW's ‖ΔW₁‖_F/η, without decay and, as it divides by |G₀|, without clipping


def full_gradients(trainer: ProbeTrainer) -> dict[str, FullGradient]:
    """Of every matrix that carries the trainer's LoRA, whose B₀ = 0 adds nothing, so that the gradient is the base's.

    One backward pass where an optimizer step is one micro-batch, and one matrix's gradient in memory at a time; else
    the matrices go in groups of at most 1 GiB of gradients, a pass each. Cost: a forward and backward pass a group.
    """
    weights = {name: weight_of(layer) for name, layer in lora_layers(trainer.model)}
    micro_batches = trainer.rollout_given.first
    found: dict[str, FullGradient] = {}
    groups = [list(weights)] if micro_batches == 1 else list(grouped(weights, BUDGET))
    for group in groups:
        hooks = []
        for name in group:
            weights[name].requires_grad_(True)
            reduce = Reduction(name, micro_batches, float(trainer.args.adam_epsilon), found)
            hooks.append(weights[name].register_post_accumulate_grad_hook(reduce))  # type: ignore[no-untyped-call]
        trainer.first_gradient()
        for hook in hooks:
            hook.remove()
        for name in group:
            weights[name].requires_grad_(False)
    return {name: found.get(name, FullGradient(0.0, 0.0)) for name in weights}  # an expert that saw no token has none


def grouped(weights: dict[str, nn.Parameter], budget: int) -> Iterator[Sequence[str]]:
    """The names in order, as many at a time as fit the budget; one matrix may exceed it."""
    group: list[str] = []
    size = 0
    for name, weight in weights.items():
        own = weight.numel() * weight.element_size()
        if group and size + own > budget:
            yield group
            group, size = [], 0
        group.append(name)
        size += own
    if group:
        yield group


class Reduction:
    """Called when a micro-batch's gradient has been added; at the last one it is reduced and dropped."""

    def __init__(self, name: str, micro_batches: int, epsilon: float, found: dict[str, FullGradient]) -> None:
        self._name, self._left, self._epsilon, self._found = name, micro_batches, epsilon, found

    def __call__(self, weight: Any) -> None:
        """The hook."""
        self._left -= 1
        if self._left:
            return
        G = weight.grad
        with torch.no_grad():
            self._found[self._name] = FullGradient(frobenius_norm(G), frobenius_norm(G / (G.abs() + self._epsilon)))
        weight.grad = None


def weight_of(layer: Any) -> nn.Parameter:
    """W as a PEFT layer keeps it: (out, in), of a Conv1D (in, out)."""
    weight = layer.get_base_layer().weight
    assert isinstance(weight, nn.Parameter)
    return weight
