"""How one matrix moves: by plain gradient descent to first order, and in truth, for every kind of adapter."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

import torch
from peft import PeftModel
from peft.tuners.adalora import AdaLoraLayer
from peft.tuners.ln_tuning.layer import LNTuningLayer
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn

from ..adapter import ADAPTER, AnchoredFactor, OwnWeight, own_weights, tuner_layers
from ..engine import merged_beside
from ..geometry import LowRankChange
from ..model import select_targets
from ..spectrum import frobenius_norm

NUDGE = 1e-6  # of ‖θ‖: a difference quotient is then right to about 1e-6, its second order, and 1e-10, its rounding


class Matrix(ABC):
    """One W (m, n) as a method trains it, from the moment at which this is made."""

    def __init__(self, name: str) -> None:
        self.name = name

    @abstractmethod
    def descent(self) -> float:
        """‖dW/dη‖_F at η = 0 under θ ← θ − η∂L/∂θ, from the gradients as they stand."""

    @abstractmethod
    def moved(self) -> float:
        """‖ΔW‖_F since then."""


class LoraMatrix(Matrix):
    """W + s(BA − B₀A₀), anchored or not; dW/dη = −s(g_B A + B g_A), which is exact and forms no (m, n) matrix.

    g_B = sG₀Aᵀ and g_A = sBᵀG₀ are what backward left, so G₀ is not needed. O((m + n)r²).
    """

    def __init__(self, name: str, layer: LoraLayer) -> None:
        super().__init__(name)
        self._scaling = float(layer.scaling[ADAPTER])
        self._A, self._B = layer.lora_A[ADAPTER], layer.lora_B[ADAPTER]
        self._start = tuple(factor(side).detach().clone() for side in (self._A, self._B))

    def descent(self) -> float:
        """The norm of s[g_B, B]·[A; g_A]."""
        A, B = (factor(side) for side in (self._A, self._B))
        return self._norm(gradient(self._B, B), B, A, gradient(self._A, A))

    def moved(self) -> float:
        """The norm of s[ΔB, B₀]·[A; ΔA]."""
        A, B = (factor(side) for side in (self._A, self._B))
        A0, B0 = self._start
        return self._norm(B.double() - B0.double(), B0, A, A.double() - A0.double())

    def _norm(self, dB: Tensor, B: Tensor, A: Tensor, dA: Tensor) -> float:
        left = torch.cat([dB.double(), B.double()], dim=1)
        return LowRankChange(self._scaling * left, torch.cat([A.double(), dA.double()])).norm


class LayerMatrix(Matrix):
    """A layer of any other adapter, whose W PEFT merges in a float64 copy. Memory: three (m, n) in float64."""

    def __init__(self, name: str, layer: Any) -> None:
        super().__init__(name)
        self._layer = layer
        self._trained = [p for p in layer.parameters() if p.requires_grad]
        self._start = [p.detach().clone() for p in self._trained]

    def descent(self) -> float:
        """A difference quotient in float64: (W(θ₀ − t·g) − W(θ₀))/t."""
        moves = [torch.zeros_like(p) if p.grad is None else p.grad for p in self._trained]
        size = norm_of(moves)
        if not size:
            return 0.0
        t = NUDGE * max(norm_of(self._start), 1.0) / size
        moved = [p.double() - t * move.double() for p, move in zip(self._start, moves, strict=True)]
        return frobenius_norm(self._weight(moved) - self._weight(self._start)) / t

    def moved(self) -> float:
        """Of the merged weights."""
        return frobenius_norm(self._weight([p.detach() for p in self._trained]) - self._weight(self._start))

    def _weight(self, values: list[Tensor]) -> Tensor:
        """W with these numbers in the trained places."""
        given = {id(p): value for p, value in zip(self._trained, values, strict=True)}

        def in_float64(tensor: Tensor) -> Tensor:
            value = given.get(id(tensor), tensor).detach().clone()
            value = value.double() if value.is_floating_point() else value
            return nn.Parameter(value, requires_grad=False) if isinstance(tensor, nn.Parameter) else value

        weight = merged_beside(self._layer, self.name, in_float64).weight
        assert isinstance(weight, Tensor)
        return weight.detach()


class OwnMatrix(Matrix):
    """One of the model's own weights, all of it or the entries of a mask."""

    def __init__(self, name: str, weight: OwnWeight) -> None:
        super().__init__(name)
        self._weight = weight

    def descent(self) -> float:
        """‖G₀‖_F, of what trains: the gradient is 0 elsewhere."""
        gradient = self._weight.parameter.grad
        return 0.0 if gradient is None else norm_of([gradient])

    def moved(self) -> float:
        """Beside the values that are kept."""
        return norm_of([self._weight.values.double() - self._weight.base.double()])


def matrices_of(model: nn.Module) -> list[Matrix]:
    """Every matrix that the model's method changes; none where it trains norms alone."""
    return list(adapted_matrices(model) if isinstance(model, PeftModel) else own_matrices(model))


def adapted_matrices(model: PeftModel) -> Iterator[Matrix]:
    """Those of PEFT's layers."""
    for name, layer in tuner_layers(model):
        if isinstance(layer, LNTuningLayer):
            continue
        plain = isinstance(layer, LoraLayer) and not isinstance(layer, AdaLoraLayer)
        if plain and ADAPTER not in layer.lora_magnitude_vector:
            yield LoraMatrix(name, layer)
        else:
            yield LayerMatrix(name, layer)


def own_matrices(model: nn.Module) -> Iterator[Matrix]:
    """The linear layers that train by themselves."""
    kept = {weight.name: weight for weight in own_weights(model)}
    for target in select_targets(model, "all-linear", called=False).targets:
        if target.parameter in kept:
            yield OwnMatrix(target.name, kept[target.parameter])


def factor(side: nn.Module) -> Tensor:
    """A, or A₀ + ΔA; and so for B."""
    found = side.factor if isinstance(side, AnchoredFactor) else side.weight
    assert isinstance(found, Tensor)
    return found.detach()


def gradient(side: nn.Module, like: Tensor) -> Tensor:
    """∂L/∂A or ∂L/∂B; 0 where the factor is frozen."""
    trained = [parameter.grad for parameter in side.parameters() if parameter.requires_grad]
    return trained[0] if trained and trained[0] is not None else torch.zeros_like(like)


def norm_of(tensors: list[Tensor]) -> float:
    """‖·‖ over several tensors."""
    return float(torch.stack([torch.linalg.vector_norm(tensor, dtype=torch.float64) for tensor in tensors]).norm())
