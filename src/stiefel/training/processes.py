"""What DistributedDataParallel must know about adapters."""

from __future__ import annotations

import copy

from trl import GRPOConfig


def for_processes(args: GRPOConfig) -> GRPOConfig:
    """The settings with what DDP needs for adapters, where the user left it open.

    Every trained factor takes part in every loss, so there are no unused ones to search for at every backward pass; the
    anchors are buffers that never change, so nothing to send to the other processes at every forward pass.
    """
    settled = copy.copy(args)
    if settled.ddp_find_unused_parameters is None:
        settled.ddp_find_unused_parameters = False
    if settled.ddp_broadcast_buffers is None:
        settled.ddp_broadcast_buffers = False
    return settled
