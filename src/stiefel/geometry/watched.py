"""The matrices of a model in training: W's directions, solved once, and how to read what training made of W."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from peft import PeftModel
from peft.tuners.adalora import AdaLoraLayer
from peft.tuners.lora import LoraLayer
from peft.tuners.miss.layer import MissLayer
from peft.tuners.vera.layer import VeraLayer
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from ..adapter import ADAPTER, AnchoredFactor, OwnWeight, lora_layers, own_weights, tuner_layers, whole
from ..methods import Layer
from ..model import Target, kind_and_depth, select_targets
from ..spectrum import SpectrumCache, Triplets, orthonormality_error
from .alignment import subspace_shares, subspace_similarity
from .basis import Basis, all_small
from .change import Change, DenseChange, LowRankChange
from .full import RANK
from .lora import dora_change
from .native import adalora_change, miss_change, vera_change
from .spectra import SMALL, effective_rank

Row = dict[str, Any]


@dataclass(frozen=True)
class Watched:
    """One matrix: W's directions, solved before the first step, and how to read what training made of it."""

    name: str
    kind: str
    top: Triplets
    bottom: Triplets
    norm: float
    change: Callable[[], Change]
    A: Callable[[], Tensor] | None  # the trained factor (r, n)
    parameters: Callable[[], list[nn.Parameter]]  # asked for each time: FSDP2 puts others in their place

    def figures(self) -> Row:
        """‖ΔW‖_F, S_Head, ‖AV‖_F/‖A‖_F, ‖AAᵀ − I‖_max and ΔW's effective rank as they are now; O((m + n)r²) for a LoRA.

        Of a dense ΔW the rank is left out where min(m, n) > SMALL: its spectrum would cost more than a step.
        """
        change = self.change()
        head = subspace_shares(change, self.top)
        row = {
            "name": self.name,
            "delta_norm": change.norm,
            "relative": change.norm / self.norm if self.norm else 0.0,
            "s_head": head.both,
            "s_head_left": head.left,
            "s_head_right": head.right,
        }
        if self.A is not None:
            A = self.A()
            row["similarity_top"] = subspace_similarity(A, self.top.Vh)
            row["similarity_bottom"] = subspace_similarity(A, self.bottom.Vh)
            row["orthonormality_error"] = orthonormality_error(A)
        if isinstance(change, LowRankChange) or min(change.shape) <= SMALL:
            finite = math.isfinite(change.norm)  # there is no spectrum of a matrix that holds anything else
            row["effective_rank"] = effective_rank(change.singular_values()) if finite else math.nan
        return row


def watched_matrices(model: nn.Module, cache: SpectrumCache | None) -> list[Watched]:
    """Every matrix of a model whose ΔW can be read while it trains; none of PEFT's adapters without factors of it."""
    if not isinstance(model, PeftModel):
        return list(full_matrices(model, cache))
    return [*lora_matrices(model, cache), *native_matrices(model, cache)]


def lora_matrices(model: PeftModel, cache: SpectrumCache | None) -> Iterator[Watched]:
    """The matrices that carry a LoRA, of any start and structure."""
    for name, module in lora_layers(model):
        if isinstance(module, AdaLoraLayer):
            continue
        base = module.get_base_layer()
        W = oriented(base.weight.detach(), conv1d=isinstance(base, Conv1D))
        A, B = module.lora_A[ADAPTER], module.lora_B[ADAPTER]
        r = A.anchor.shape[0] if isinstance(A, AnchoredFactor) else A.weight.shape[0]
        magnitude = module.lora_magnitude_vector  # of DoRA alone, whose change has W in it
        trained = [A, B, magnitude[ADAPTER]] if ADAPTER in magnitude else [A, B]
        change = partial(lora_change, module, W if ADAPTER in magnitude else None)
        yield watch(name, W, r, cache, change, partial(trained_factor, A), partial(trained_of, *trained))


def lora_change(module: LoraLayer, W: Tensor | None) -> Change:
    """s(BA − B₀A₀) from the factors that PEFT sees, rescaled by the rows of W + s(BA − B₀A₀) where it is DoRA's."""
    A, B = whole(module.lora_A[ADAPTER].weight), whole(module.lora_B[ADAPTER].weight)
    product = LowRankChange(float(module.scaling[ADAPTER]) * B.to(torch.float64), A)
    if W is not None:
        return dora_change(W, product, whole(module.lora_magnitude_vector[ADAPTER].weight))
    return product


def native_matrices(model: PeftModel, cache: SpectrumCache | None) -> Iterator[Watched]:
    """The matrices that carry an AdaLoRA, counted at the rank that will be left, a VeRA or a MiSS."""
    for name, module in tuner_layers(model):
        if not isinstance(module, AdaLoraLayer | VeraLayer | MissLayer):
            continue
        base = module.get_base_layer()
        W = oriented(base.weight.detach(), conv1d=isinstance(base, Conv1D))
        settings = model.peft_config[ADAPTER]
        r = settings.target_r if isinstance(module, AdaLoraLayer) else settings.r
        A = partial(whole, module.lora_A[ADAPTER]) if isinstance(module, AdaLoraLayer) else None
        yield watch(
            name, W, r, cache, partial(native_change, module, (W.shape[0], W.shape[1])), A, partial(trained_of, module)
        )


def native_change(module: AdaLoraLayer | VeraLayer | MissLayer, shape: tuple[int, int]) -> Change:
    """ΔW as the layer has it now."""

    def now(parts: Any) -> Tensor:
        return whole(parts[ADAPTER])

    if isinstance(module, AdaLoraLayer):
        A, B, E = now(module.lora_A), now(module.lora_B), now(module.lora_E)
        return adalora_change(A, B, E, float(module.scaling[ADAPTER]), float(module.ranknum[ADAPTER]))
    if isinstance(module, VeraLayer):
        A, B = now(module.vera_A)[:, : shape[1]], now(module.vera_B)[: shape[0]]
        return vera_change(A, B, now(module.vera_lambda_d), now(module.vera_lambda_b))
    return miss_change(now(module.miss_block), shape[1])


def trained_factor(A: nn.Module) -> Tensor:
    """A, or A₀ + ΔA."""
    factor = A.factor if isinstance(A, AnchoredFactor) else A.weight
    assert isinstance(factor, Tensor)
    return whole(factor)


def trained_of(*modules: nn.Module) -> list[nn.Parameter]:
    """Their parameters that train."""
    return [parameter for module in modules for parameter in module.parameters() if parameter.requires_grad]


def full_matrices(model: nn.Module, cache: SpectrumCache | None) -> Iterator[Watched]:
    """Every linear layer that trains by itself, from the values that `attach` kept of it, or else from a copy."""
    kept = {weight.name: weight for weight in own_weights(model)}
    for target in select_targets(model, "all-linear", called=False).targets:
        if kept and target.parameter not in kept:
            continue
        module = model.get_submodule(target.name)
        own = kept.get(target.parameter)
        start = oriented(start_of(module, own), conv1d=target.conv1d)
        change = partial(full_change, module, target, start)
        yield watch(target.name, start, min(RANK, *target.shape), cache, change, None, partial(weight_of, module))


def start_of(module: nn.Module, own: OwnWeight | None) -> Tensor:
    """The weight as it was before training; a second copy where nothing or a part was kept."""
    assert isinstance(module.weight, Tensor)
    if own is not None and own.mask is None:
        return own.base
    start = module.weight.detach().clone()
    if own is not None:
        start[own.mask] = own.base
    return start


def full_change(module: nn.Module, target: Target, start: Tensor) -> Change:
    """W⁺ − W."""
    assert isinstance(module.weight, Tensor)
    now = oriented(whole(module.weight), conv1d=target.conv1d)
    return DenseChange(now.to(torch.float32) - start.to(torch.float32))


def weight_of(module: nn.Module) -> list[nn.Parameter]:
    """The weight alone: a bias is no part of ΔW."""
    assert isinstance(module.weight, nn.Parameter)
    return [module.weight] if module.weight.requires_grad else []


def oriented(weight: Tensor, *, conv1d: bool) -> Tensor:
    """W (out, in); GPT-2's Conv1D keeps it transposed."""
    return weight.T if conv1d else weight


def watch(
    name: str,
    W: Tensor,
    r: int,
    cache: SpectrumCache | None,
    change: Callable[[], Change],
    A: Callable[[], Tensor] | None,
    parameters: Callable[[], list[nn.Parameter]],
) -> Watched:
    """Solve W's directions and keep these alone."""
    basis = Basis(Layer(name, W, r, 1.0, 0, {}, cache=cache), exact=all_small([(W.shape[0], W.shape[1])]))
    top, bottom = (
        Triplets(*(tensor.to(W.device, torch.float64) for tensor in part)) for part in (basis.top, basis.bottom)
    )
    return Watched(name, kind_and_depth(name)[0], top, bottom, basis.norm, change, A, parameters)


def gradient_norm(parameters: list[nn.Parameter]) -> float:
    """‖∇‖ over some parameters; those that the loss does not reach count as 0."""
    gradients = [whole(parameter.grad) for parameter in parameters if parameter.grad is not None]
    return math.hypot(*(float(torch.linalg.vector_norm(gradient)) for gradient in gradients))
