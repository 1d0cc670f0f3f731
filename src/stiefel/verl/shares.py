"""A rollout's sequences among GPUs: how many each works on at once, or which numbers would fit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..errors import UserError
from ..recipe import Recipe


@dataclass(frozen=True)
class Shares:
    """One optimizer step on verl: its prompts, and the sequences that a GPU works on at once (0: by tokens)."""

    mini_batch: int
    micro_batch: int


def shares(recipe: Recipe) -> Shares:
    """The mini-batch in prompts and the micro-batch of a GPU; raises UserError, naming what fits, where it does not."""
    rollout, optim, cluster = recipe.rollout, recipe.optim, recipe.cluster
    if not cluster.gpus:
        raise UserError(
            "cluster.gpus = 0", "verl is told how many GPUs a machine has", "--set cluster.gpus=8, or as many as it has"
        )
    if cluster.gpus % rollout.vllm_tensor_parallel:
        raise UserError(
            f"rollout.vllm_tensor_parallel = {rollout.vllm_tensor_parallel} does not divide cluster.gpus = "
            f"{cluster.gpus}",
            "every engine takes so many GPUs of one machine",
            f"one of {listed(fitting(cluster.gpus, lambda n: cluster.gpus % n == 0))}",
        )
    if rollout.prompts % optim.updates_per_rollout:
        raise UserError(
            f"optim.updates_per_rollout = {optim.updates_per_rollout} does not divide rollout.prompts = "
            f"{rollout.prompts}",
            "verl counts a mini-batch in prompts, each with all of its completions",
            f"one of {listed(fitting(rollout.prompts, lambda n: rollout.prompts % n == 0))}",
        )
    world, mini = cluster.nodes * cluster.gpus, rollout.prompts // optim.updates_per_rollout
    step = mini * rollout.completions
    if step % world:
        raise UserError(
            f"{world} GPUs do not divide an optimizer step's {step} completions",
            f"it is {rollout.prompts} prompts × {rollout.completions} completions / {optim.updates_per_rollout} "
            "updates, and every GPU takes an equal part",
            f"cluster.nodes × cluster.gpus one of {listed(fitting(step, lambda n: step % n == 0))}",
        )
    if cluster.dynamic_batch:
        longest = rollout.max_prompt_tokens + rollout.max_completion_tokens
        if cluster.dynamic_batch < longest:
            raise UserError(
                f"cluster.dynamic_batch = {cluster.dynamic_batch} is less than a sequence",
                f"one may have {rollout.max_prompt_tokens} + {rollout.max_completion_tokens} tokens",
                f"{longest} or more, or 0",
            )
        return Shares(mini, 0)
    each = step // world
    micro = optim.micro_batch or each
    if each % micro:
        raise UserError(
            f"optim.micro_batch = {optim.micro_batch} does not divide a GPU's {each} completions of an optimizer step",
            "the pieces of a step are equally large",
            f"one of {listed(fitting(each, lambda n: each % n == 0))}, or cluster.dynamic_batch",
        )
    return Shares(mini, micro)


def fitting(most: int, fits: Callable[[int], bool]) -> list[int]:
    """The numbers from 1 to `most` that fit."""
    return [number for number in range(1, most + 1) if fits(number)]


def listed(numbers: list[int]) -> str:
    """1, 2, 4."""
    return ", ".join(map(str, numbers))
