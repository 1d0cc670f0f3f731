"""A factor that does not train: LoRA-FA's A."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F


class FrozenFactor(nn.Module):
    """Stands where PEFT keeps `lora_A` and looks like its linear layer, but holds its weight as a buffer.

    A parameter would be set to train again by `set_adapter` and by leaving `disable_adapter()`.
    """

    weight: Tensor
    bias = None  # PEFT reads it of its linear layers

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.register_buffer("weight", weight.detach().clone())

    def forward(self, x: Tensor) -> Tensor:
        """X · weightᵀ."""
        return F.linear(x, self.weight)
