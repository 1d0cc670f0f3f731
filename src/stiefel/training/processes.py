"""Several processes: whether accelerate sees those that were launched, how they share a model, what DDP must know."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Mapping
from typing import TypeVar

from accelerate import PartialState
from accelerate.utils import DistributedType, gather_object, parse_flag_from_env
from transformers import TrainingArguments

from ..errors import SaidElsewhere, UserError

# how many processes MPI's and Slurm's launchers started, which torch does not ask
LAUNCHERS = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MV2_COMM_WORLD_SIZE", "SLURM_STEP_NUM_TASKS")
# of accelerate's settings for FSDP those that must be off, and what to use in their place
OFF = {
    "FSDP_OFFLOAD_PARAMS": "leave the weights on the GPUs, or take more of them",
    "FSDP_ACTIVATION_CHECKPOINTING": "optim.activation_checkpointing = true in the recipe",
    "FSDP_CPU_RAM_EFFICIENT_LOADING": "every process reads the weights, from which it makes the same adapter",
}
Arguments = TypeVar("Arguments", bound=TrainingArguments)
Found = TypeVar("Found")


def launched() -> PartialState:
    """The processes of the launch, as accelerate sees them.

    Raises UserError where it takes each of them for a run of its own, as it does without a GPU unless it is told: they
    would write over each other.
    """
    state = PartialState(cpu=parse_flag_from_env("ACCELERATE_USE_CPU"))
    started = processes_started(os.environ)
    if state.num_processes != started:
        raise UserError(
            f"{started} processes were launched, and each would train alone",
            "accelerate joins processes on a CPU only if it is asked to",
            "set ACCELERATE_USE_CPU=true in their environment, or launch on GPUs",
        )
    return state


def processes_started(environment: Mapping[str, str]) -> int:
    """How many processes a launcher says that it started; 1 where there was none.

    Raises UserError where the environment speaks of others and not of how many: `accelerate launch --cpu
    --num_processes 2` starts a single process, which knows of an address to meet others at and would train alone.
    """
    if environment.get("WORLD_SIZE"):
        return int(environment["WORLD_SIZE"])
    counts = [int(environment[name]) for name in LAUNCHERS if environment.get(name, "").isdecimal()]
    spoken = next((name for name in ("RANK", "LOCAL_RANK", "MASTER_ADDR") if environment.get(name)), "")
    if spoken and max(counts, default=1) == 1:
        raise UserError(
            f"a launch with {spoken} = {environment[spoken]} and without WORLD_SIZE",
            "this process is to meet others, does not know how many, and would train alone",
            "accelerate launch --multi_gpu --num_processes N, on a CPU with ACCELERATE_USE_CPU=true, or torchrun; for "
            f"one process alone unset {spoken}",
        )
    return max(counts, default=1)


def replicas() -> PartialState:
    """The processes of the launch, each of which holds the whole weights, or a share of the base and a whole adapter.

    Raises UserError where accelerate would divide what a run generates with, and saves, in another way.
    """
    state = launched()
    if os.environ.get("ACCELERATE_DEEPSPEED_ZERO_STAGE") == "3":
        raise UserError(
            "stiefel train was launched with DeepSpeed ZeRO-3",
            "it generates and saves from whole weights, and each process would hold a part of them",
            "recipes/cluster/fsdp2.yaml; or ddp.yaml or deepspeed_zero2.yaml, where the model fits on one GPU",
        )
    sharded_launch()
    return state


def sharded_launch() -> bool:
    """Whether the launcher was told to shard by FSDP2; raises UserError for FSDP1, and for settings that we have not.

    With ZeRO-3 it says nothing: that is DeepSpeed's, and has a launcher of its own.
    """
    if not parse_flag_from_env("ACCELERATE_USE_FSDP"):
        return False
    if os.environ.get("FSDP_VERSION") != "2":
        raise UserError(
            "a launch with FSDP1",
            "it flattens an adapter's parameters together with frozen ones, and is given up by torch",
            "fsdp_version: 2, as in recipes/cluster/fsdp2.yaml",
        )
    for key, instead in OFF.items():
        if parse_flag_from_env(key):
            raise UserError(f"a launch with {key.lower()}", "weights are divided without it", instead)
    if not parse_flag_from_env("FSDP_RESHARD_AFTER_FORWARD", True):
        raise UserError(
            "a launch with fsdp_reshard_after_forward: false",
            "every GPU would hold the whole weights in each update, as under DDP",
            "recipes/cluster/ddp.yaml, or true",
        )
    return True


def require_whole(method: str, kind: DistributedType) -> None:
    """Raise UserError for a method with an optimizer of its own where the parameters are DeepSpeed's."""
    if kind == DistributedType.DEEPSPEED:
        raise UserError(
            f"{method} under DeepSpeed",
            "it puts other tensors in the parameters' place, by which the method's optimizer knows them",
            "DDP or FSDP2; or a method that plain AdamW trains, with weight_decay_on = 'delta'",
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


def in_all_or_none(work: Callable[[], Found]) -> Found:
    """What `work` gives in this process; where it raises UserError in one, it raises in all, once all are there.

    The first that failed raises its own, which says it, the others SaidElsewhere: stopping alone, it would leave them
    waiting for it, for half an hour at worst. `work` must wait for no other process after a failure, and every process
    must call it.
    """
    failure: UserError | None = None
    try:
        found = work()
    except UserError as error:
        failure = error
    raise_in_all(failure)
    return found


def raise_in_all(failure: UserError | None) -> None:
    """Raise the first failure that a process has, in every process; every one must call it, with its own or None."""
    every: list[UserError | None] = gather_object([failure])
    for number, one in enumerate(every):
        if one is None:
            continue
        if failure is not None and number == PartialState().process_index:
            raise failure
        raise SaidElsewhere(one.what, one.why, one.instead)
