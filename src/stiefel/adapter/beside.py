"""The copy of an adapter that plain TRL keeps as its reference, made so that it computes what the adapter does.

`trl.GRPOTrainer` with beta > 0 adds a second adapter named "ref" of the same settings and copies every parameter into
it. An anchored factor's parameter is the change from its anchor, and a frozen factor has none: in the linear layer that
PEFT would make there is no place for the one, and random numbers for the other.
"""

from __future__ import annotations

from peft.tuners.lora import LoraLayer
from torch import Tensor, nn
from torch.nn import functional as F

from .anchored import AnchoredFactor
from .frozen import FrozenFactor

REFERENCE = "ref"  # as TRL names it


class FrozenCopy(nn.Module):
    """A frozen factor's values, which PEFT's initialisation of a new adapter does not reach."""

    kept: Tensor
    bias = None

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.register_buffer("kept", weight.detach().clone())

    @property
    def weight(self) -> Tensor:
        """A copy, for whoever looks at it or writes into it."""
        return self.kept.clone()

    def forward(self, x: Tensor) -> Tensor:
        """X · weightᵀ."""
        return F.linear(x, self.kept)


class FactorsByAdapter(nn.ModuleDict):
    """PEFT's `lora_A` or `lora_B` of a layer, in which the reference is of the trained factor's kind."""

    def __init__(self, trained: str, modules: nn.ModuleDict) -> None:
        self.trained = trained
        super().__init__(dict(modules.items()))

    def __setitem__(self, key: str, module: nn.Module) -> None:
        """Put a module there; under the reference's name one around the trained factor's anchor, or with its values."""
        super().__setitem__(key, self._reference(module) if key == REFERENCE and self.trained in self else module)

    def _reference(self, module: nn.Module) -> nn.Module:
        match self[self.trained]:
            case AnchoredFactor() as factor:
                return type(factor)(factor.anchor)  # with no change from it: TRL copies that
            case FrozenFactor() as factor:
                return FrozenCopy(factor.weight)
            case _:
                return module


def keep_reference_alike(layer: LoraLayer, trained: str) -> None:
    """Let a reference that is added to this layer later be of the trained factors' kinds."""
    layer.lora_A, layer.lora_B = (FactorsByAdapter(trained, side) for side in (layer.lora_A, layer.lora_B))
