"""The geometry of a run while it trains: one row of `geometry.jsonl` every N rollouts."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from peft import PeftModel
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from transformers import TrainerCallback
from transformers.pytorch_utils import Conv1D

from ..anchored import AnchoredFactor
from ..cache import SpectrumCache
from ..errors import UserError
from ..linalg import Triplets, orthonormality_error
from ..methods import Layer
from ..skeleton import select_targets
from ..wrap import ADAPTER, lora_layers
from .alignment import subspace_shares, subspace_similarity
from .basis import Basis, all_small
from .change import Change, DenseChange, LowRankChange
from .full import RANK
from .lora import dora_change
from .names import kind_and_depth

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
        """‖ΔW‖_F, S_Head, ‖AV‖_F/‖A‖_F and ‖AAᵀ − I‖_max as they are now; O((m + n)r²) for a LoRA."""
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
        return row


class GeometryCallback(TrainerCallback):  # type: ignore[misc]
    """Writes a row at the first, at every `every`-th and at the last rollout, after its last update.

    A row: `step` (the rollout), `summary` and `layers`. The gradient is that of the rollout's last update over the
    trained parameters, before clipping: per matrix, and in `summary.grad_norm` by kind. W's leading and trailing
    directions are solved once, when this is made, or read from the cache. `model` carries a LoRA of ours, or nothing:
    then all its linear layers are watched, and their start is kept, a second copy of them. Every process of a launch
    makes one, and measures; the main one writes. Cost: `Watched.figures` a
    matrix.
    """

    def __init__(
        self, path: Path, model: nn.Module, every: int, *, updates_per_rollout: int = 1, cache: bool = True
    ) -> None:
        assert every >= 1
        self._path, self._model, self._every, self._updates = path, model, every, updates_per_rollout
        store = SpectrumCache() if cache else None
        self._watched = list(
            lora_matrices(model, store) if isinstance(model, PeftModel) else full_matrices(model, store)
        )
        if not self._watched:
            raise UserError(
                "run.geometry_every is set for an adapter without a change per matrix",
                "only LoRA and full weights have ΔW of a matrix to measure",
                "set run.geometry_every = 0, or choose a LoRA method",
            )
        self._gradients: dict[str, float] = {}
        self._clipped = self._seconds = 0.0  # the norm of all gradients, and what they took to look at
        self._row: Row | None = None

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """The norm before clipping is known from the logs alone."""
        if args.logging_steps != 1:
            raise UserError(
                f"logging_steps = {args.logging_steps} beside GeometryCallback",
                "the gradient's norm before clipping is read from each update's log",
                "set logging_steps = 1",
            )

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """The gradients, clipped already."""
        if self._is_due(state):
            began = time.perf_counter()
            self._gradients = {watched.name: gradient_norm(watched.parameters()) for watched in self._watched}
            self._clipped = gradient_norm(trained_of(self._model))
            self._seconds = time.perf_counter() - began

    def on_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """The weights after the update."""
        if not self._is_due(state):
            return
        began = time.perf_counter()
        layers = [watched.figures() for watched in self._watched]
        self._row = {
            "step": (state.global_step + 1) // self._updates,
            "layers": layers,
            "seconds": self._seconds + time.perf_counter() - began,
        }

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float], **kwargs: Any) -> None:
        """The gradient's norm before clipping, and the row."""
        if self._row is None or "grad_norm" not in logs:
            return
        factor = logs["grad_norm"] / self._clipped if self._clipped else 1.0
        for row in self._row["layers"]:
            row["grad_norm"] = factor * self._gradients[row["name"]]
        row = {"step": self._row["step"], "summary": self._summary(), **self._row}
        if state.is_world_process_zero:
            with self._path.open("a") as file:
                file.write(json.dumps(finite(row), allow_nan=False) + "\n")
        self._row = None

    def _is_due(self, state: Any) -> bool:
        """True at the last update of a rollout whose row is wanted."""
        update = int(state.global_step) + 1  # the callbacks of an update come before it is counted
        if update % self._updates:
            return False
        rollout = update // self._updates
        return rollout == 1 or rollout % self._every == 0 or update >= int(state.max_steps)

    def _summary(self) -> Row:
        assert self._row is not None
        layers = self._row["layers"]
        grad_norm: dict[str, float] = {}
        for watched, row in zip(self._watched, layers, strict=True):
            grad_norm[watched.kind] = math.hypot(grad_norm.get(watched.kind, 0.0), row["grad_norm"])
        summary: Row = {"grad_norm": grad_norm, "delta_norm": math.hypot(*(row["delta_norm"] for row in layers))}
        for figure in layers[0].keys() - {"name", "grad_norm", "delta_norm"}:
            summary[figure] = fmean(row[figure] for row in layers)
        return summary


def lora_matrices(model: PeftModel, cache: SpectrumCache | None) -> Iterator[Watched]:
    """The matrices that carry a LoRA."""
    for name, module in lora_layers(model):
        A, B = module.lora_A[ADAPTER], module.lora_B[ADAPTER]
        r = A.anchor.shape[0] if isinstance(A, AnchoredFactor) else A.weight.shape[0]
        W = base_matrix(module.get_base_layer())
        yield watch(
            name, W, r, cache, partial(lora_change, module, W), partial(trained_factor, A), partial(trained_of, A, B)
        )


def trained_of(*modules: nn.Module) -> list[nn.Parameter]:
    """Their parameters that train."""
    return [parameter for module in modules for parameter in module.parameters() if parameter.requires_grad]


def whole(tensor: Tensor) -> Tensor:
    """A tensor without its history, gathered where FSDP2 has sharded it; then every process must ask."""
    tensor = tensor.detach()
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def lora_change(module: LoraLayer, W: Tensor) -> Change:
    """s(BA − B₀A₀) from the factors that PEFT sees, rescaled by the rows where the layer is DoRA's."""
    A, B = whole(module.lora_A[ADAPTER].weight), whole(module.lora_B[ADAPTER].weight)
    product = LowRankChange(float(module.scaling[ADAPTER]) * B.to(torch.float64), A)
    if ADAPTER in module.lora_magnitude_vector:
        return dora_change(W, product, whole(module.lora_magnitude_vector[ADAPTER].weight))
    return product


def trained_factor(A: nn.Module) -> Tensor:
    """A, or A₀ + ΔA."""
    factor = A.factor if isinstance(A, AnchoredFactor) else A.weight
    assert isinstance(factor, Tensor)
    return whole(factor)


def full_matrices(model: nn.Module, cache: SpectrumCache | None) -> Iterator[Watched]:
    """Every linear layer but the output head, with a copy of its start."""
    modules = dict(model.named_modules())
    for target in select_targets(model, "all-linear").targets:
        module = modules[target.name]
        start = base_matrix(module).clone()
        change = partial(full_change, module, target.conv1d, start)
        yield watch(target.name, start, min(RANK, *target.shape), cache, change, None, partial(weight_of, module))


def weight_of(module: nn.Module) -> list[nn.Parameter]:
    """The weight alone: a bias is no part of ΔW."""
    assert isinstance(module.weight, nn.Parameter)
    return [module.weight] if module.weight.requires_grad else []


def full_change(module: nn.Module, conv1d: bool, start: Tensor) -> Change:
    """W⁺ − W."""
    assert isinstance(module.weight, Tensor)
    weight = whole(module.weight)
    return DenseChange((weight.T if conv1d else weight).to(torch.float32) - start.to(torch.float32))


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


def finite(value: Any) -> Any:
    """The same with None for numbers that JSON cannot hold."""
    match value:
        case dict():
            return {key: finite(one) for key, one in value.items()}
        case list():
            return [finite(one) for one in value]
        case float() if not math.isfinite(value):
            return None
    return value


def base_matrix(module: nn.Module) -> Tensor:
    """W (out, in) of a linear layer; GPT-2's Conv1D keeps it transposed."""
    assert isinstance(module, nn.Linear | Conv1D)
    weight = module.weight.detach()
    return weight.T if isinstance(module, Conv1D) else weight
