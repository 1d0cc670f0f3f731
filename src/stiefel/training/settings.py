"""A recipe → TRL's settings; everything that TRL would otherwise choose for us is chosen here."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from trl import GRPOConfig, SFTConfig

from ..errors import UserError
from ..recipe import OptimSettings, Recipe
from .overlong import WEIGHTS

SERVER_TIMEOUT = 240.0  # seconds, which a large model may take to be served
# name → (loss_type: over what the loss is averaged, scale_rewards: whether a group's rewards are divided by their σ)
LOSSES = {"dapo": ("dapo", "group"), "grpo": ("grpo", "group"), "dr_grpo": ("dr_grpo", "none")}


def grpo_config(recipe: Recipe, out: Path, longest_prompt: int | None = None, measured: int = 0) -> GRPOConfig:
    """DAPO, GRPO or Dr. GRPO as TRL spells it.

    With ρ = π_new/π per token and  the group's advantage, a token's loss is −min(ρÂ, clip(ρ, 1−ε_low, 1+ε_high)Â), ρ
    bounded by `dual_clip` where  < 0, plus β·KL to the base (k3). What differs:

    | name | averaged over | Â | source |
    |---|---|---|---|
    | dapo | the tokens of the mini-batch, counted as the rollout's mean | (R − mean)/σ | arXiv:2503.14476 |
    | grpo | the tokens of a completion, then completions | (R − mean)/σ | arXiv:2402.03300 |
    | dr_grpo | completions × the longest completion allowed | R − mean | arXiv:2503.20783 |

    One rollout of P·G completions is split into `updates_per_rollout` mini-batches, each one optimizer step, worked off
    in pieces of `micro_batch` completions. The dual clip is arXiv:1912.09729's, which is TRL's `delta`. vLLM makes room
    for `longest_prompt` tokens where the recipe sets no limit, and for the model's whole context where that is None;
    at least for `measured` tokens, the longest question and answer that are measured. Raises UserError where the
    completions do not divide among the processes.
    """
    rollout, optim, algorithm = recipe.rollout, recipe.optim, recipe.algorithm
    loss_type, scale_rewards = LOSSES[algorithm.name]
    completions = rollout.prompts * rollout.completions
    pieces = split(completions // optim.updates_per_rollout, optim.micro_batch, "completions of a mini-batch")
    return GRPOConfig(
        **shared(recipe, out),
        **pieces,
        **vllm(recipe, longest_prompt, measured),
        # one rollout, its mini-batches, the length of the run
        num_generations=rollout.completions,
        generation_batch_size=completions,
        num_iterations=1,
        max_steps=optim.rollouts * optim.updates_per_rollout,
        shuffle_dataset=False,  # the task's rows are drawn in a seeded order already
        # the loss
        loss_type=loss_type,
        scale_rewards=scale_rewards,
        reward_weights=WEIGHTS if algorithm.overlong_buffer else None,
        importance_sampling_level="token",
        epsilon=algorithm.clip_low,
        epsilon_high=algorithm.clip_high,
        delta=algorithm.dual_clip or None,
        beta=algorithm.beta,
        entropy_coef=algorithm.entropy,
        use_bias_correction_kl=False,
        mask_truncated_completions=False,
        # sampling
        temperature=rollout.temperature,
        top_p=rollout.top_p,
        top_k=rollout.top_k,
        max_completion_length=rollout.max_completion_tokens,
        use_transformers_continuous_batching=False,  # it would cast the adapters to bfloat16
        # output
        save_strategy="steps" if recipe.run.save_every else "no",
        save_steps=max(1, recipe.run.save_every) * optim.updates_per_rollout,
        log_completions=False,
    )


def sft_config(recipe: Recipe, out: Path) -> SFTConfig:
    """Cross-entropy on the completion's tokens, averaged over the tokens of a batch; `epochs` passes over the rows."""
    return SFTConfig(
        **shared(recipe, out),
        **split(recipe.algorithm.batch, recipe.optim.micro_batch, "sequences of algorithm.batch"),
        save_strategy="steps" if recipe.run.save_every else "no",
        save_steps=max(1, recipe.run.save_every),
        num_train_epochs=recipe.algorithm.epochs,
        loss_type="nll",
        completion_only_loss=True,
        assistant_only_loss=False,
        packing=False,
        padding_free=False,
        max_length=None,  # lengths are checked when the rows are read: a cut answer would teach not to stop
        logging_nan_inf_filter=False,  # a loss that is no number is shown, not replaced by an average
    )


def shared(recipe: Recipe, out: Path) -> dict[str, Any]:
    """What both trainers are told alike."""
    return {
        "output_dir": str(out),
        "project": "stiefel",
        "seed": recipe.run.seed,
        "save_total_limit": 2,
        "learning_rate": recipe.optim.lr,
        "weight_decay": recipe.optim.weight_decay,
        "max_grad_norm": recipe.optim.max_grad_norm,
        "router_aux_loss_coef": 0.0,  # the balancing loss of experts, which TRL would add and none of the losses has
        # numbers: the frozen weights keep the recipe's type, the factors are float32; products under autocast or not
        "bf16": recipe.model.compute == "bfloat16",
        "use_cpu": recipe.model.compute == "bfloat16" and not torch.accelerator.is_available(),  # or bf16 is refused
        "fp16": False,
        "activation_checkpointing": recipe.optim.activation_checkpointing,
        # output: ours
        "logging_steps": 1,
        "report_to": list(recipe.run.report_to),
        "disable_tqdm": True,
        "dataloader_pin_memory": torch.cuda.is_available(),
    }


def split(batch: int, micro_batch: int, what: str) -> dict[str, int]:
    """One optimizer step of `batch` sequences as TRL counts it: sequences a process and pass, and passes."""
    processes = int(os.environ.get("WORLD_SIZE", "1"))  # as the launcher says
    piece = micro_batch or batch // processes
    if batch % (processes * max(piece, 1)) or not piece:
        raise UserError(
            f"{batch} {what} do not divide among {processes} processes"
            + (f" and pieces of optim.micro_batch = {micro_batch}" if micro_batch else ""),
            "every process takes equal parts of every optimizer step",
            f"{batch} sequences divide into {', '.join(str(n) for n in range(1, batch + 1) if batch % n == 0)}: "
            "let processes × optim.micro_batch be one of these",
        )
    return {"per_device_train_batch_size": piece, "gradient_accumulation_steps": batch // (processes * piece)}


def vllm(recipe: Recipe, longest_prompt: int | None = None, measured: int = 0) -> dict[str, Any]:
    """TRL's settings of the engine that generates; the correction for its probabilities is the recipe's or none."""
    rollout = recipe.rollout
    if rollout.engine == "hf":
        return {"use_vllm": False, "vllm_importance_sampling_correction": False}
    corrected = rollout.importance_correction != "off"
    prompt = rollout.max_prompt_tokens or longest_prompt
    settings: dict[str, Any] = {
        "use_vllm": True,
        "vllm_mode": rollout.vllm_mode,
        "vllm_importance_sampling_correction": corrected,
        "vllm_max_model_length": max(prompt + rollout.max_completion_tokens, measured) if prompt else None,
    }
    if corrected:
        settings["vllm_importance_sampling_mode"] = rollout.importance_correction
        settings["vllm_importance_sampling_clip_max"] = rollout.importance_cap
    if rollout.vllm_mode == "server":
        return {**settings, "vllm_server_base_url": rollout.vllm_server, "vllm_server_timeout": SERVER_TIMEOUT}
    return {
        **settings,
        "vllm_gpu_memory_utilization": rollout.vllm_memory,
        "vllm_tensor_parallel_size": rollout.vllm_tensor_parallel,
    }


def rate_factor(optim: OptimSettings) -> Callable[[int], float]:
    """The schedule as a function of the optimizer step; the rate changes once a rollout, as in verl."""

    def factor(update: int) -> float:
        rollout = update // optim.updates_per_rollout
        if rollout < optim.warmup_rollouts:
            return (rollout + 1) / (optim.warmup_rollouts + 1)
        if optim.schedule == "constant":
            return 1.0
        done = (rollout - optim.warmup_rollouts) / max(1, optim.rollouts - optim.warmup_rollouts)
        return 0.5 * (1 + math.cos(math.pi * min(1.0, done)))

    return factor


def rate_factor_of_updates(optim: OptimSettings, updates: int) -> Callable[[int], float]:
    """The same schedule where there are no rollouts: it counts updates, warm-up included."""
    return rate_factor(optim.model_copy(update={"rollouts": updates, "updates_per_rollout": 1}))
