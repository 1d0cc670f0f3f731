"""Tensors that FSDP2 has split over processes: made whole, and others split as they are."""

from __future__ import annotations

from torch import Tensor
from torch.distributed.tensor import DTensor, distribute_tensor


def whole(tensor: Tensor) -> Tensor:
    """The tensor, gathered where it is sharded, for which every process must ask."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def sharded_as(tensor: Tensor, other: Tensor) -> Tensor:
    """A tensor that every process has whole, split over them as another one of its shape, on its device.

    Nothing is sent.
    """
    if not isinstance(other, DTensor):
        return tensor
    split = distribute_tensor(tensor, other.device_mesh, other.placements, src_data_rank=None)
    return split.to(other.device)  # which is a CPU where FSDP2 keeps the parameters of a GPU there
