"""Several processes: whether accelerate sees those that were launched, and what DDP must know about adapters."""

from __future__ import annotations

import copy
import os
from typing import TypeVar

from accelerate import PartialState
from accelerate.utils import DistributedType, parse_flag_from_env
from transformers import TrainingArguments

from ..errors import UserError

SHARDED = (DistributedType.FSDP, DistributedType.DEEPSPEED)
Arguments = TypeVar("Arguments", bound=TrainingArguments)


def launched() -> PartialState:
    """The processes of the launch, as accelerate sees them.

    Raises UserError where it takes each of them for a run of its own, as it does without a GPU unless it is told: they
    would write over each other.
    """
    state = PartialState(cpu=parse_flag_from_env("ACCELERATE_USE_CPU"))
    started = int(os.environ.get("WORLD_SIZE", "1"))
    if state.num_processes != started:
        raise UserError(
            f"{started} processes were launched, and each would train alone",
            "accelerate joins processes on a CPU only if it is asked to",
            "set ACCELERATE_USE_CPU=true in their environment, or launch on GPUs",
        )
    return state


def replicas() -> PartialState:
    """The processes of the launch, where each holds the whole weights.

    Raises UserError where they are sharded: a run evaluates by generating in every process and is saved by one.
    """
    state = launched()
    sharded = parse_flag_from_env("ACCELERATE_USE_FSDP")
    if sharded or os.environ.get("ACCELERATE_DEEPSPEED_ZERO_STAGE") == "3":
        raise UserError(
            f"stiefel train was launched with {'FSDP' if sharded else 'DeepSpeed ZeRO-3'}",
            "it generates and saves from whole weights, and each process would hold a part of them",
            "recipes/cluster/ddp.yaml or deepspeed_zero2.yaml; FSDP2 with stiefel.GRPOTrainer in a script of your own",
        )
    return state


def require_whole(method: str, kind: DistributedType) -> None:
    """Raise UserError for a method with an optimizer of its own where the parameters are sharded."""
    if kind in SHARDED:
        raise UserError(
            f"{method} on sharded weights",
            "FSDP and DeepSpeed put other tensors in the parameters' place, by which its optimizer knows them",
            "DDP; or a method that plain AdamW trains, with weight_decay_on = 'delta'",
        )


def for_processes(args: Arguments) -> Arguments:
    """The settings with what DDP needs for adapters, where the user left it open.

    Every trained factor takes part in every loss, so there are no unused ones to search for at every backward pass; the
    anchors are buffers that never change, so nothing to send to the other processes at every forward pass.
    """
    launched()
    settled = copy.copy(args)
    if settled.ddp_find_unused_parameters is None:
        settled.ddp_find_unused_parameters = False
    if settled.ddp_broadcast_buffers is None:
        settled.ddp_broadcast_buffers = False
    return settled
