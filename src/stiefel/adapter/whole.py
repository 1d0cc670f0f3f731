"""A tensor that FSDP2 may have divided, whole."""

from __future__ import annotations

from torch import Tensor
from torch.distributed.tensor import DTensor


def whole(tensor: Tensor) -> Tensor:
    """A tensor without its history, gathered where FSDP2 has divided it; then every process must ask."""
    value = tensor.detach()
    return value.full_tensor() if isinstance(value, DTensor) else value
