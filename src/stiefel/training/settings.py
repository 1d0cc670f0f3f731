"""A recipe → TRL's settings; everything that TRL would otherwise choose for us is chosen here."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import torch
from trl import GRPOConfig

from ..recipe import Recipe
from ..sections import OptimSettings


def grpo_config(recipe: Recipe, out: Path) -> GRPOConfig:
    """DAPO as TRL spells it: asymmetric clip, dual clip (`delta`), mean over the rollout's tokens.

    One rollout of P·G completions is split into `updates_per_rollout` mini-batches, each one optimizer step. Source:
    arXiv:2503.14476; the dual clip is arXiv:1912.09729's, which is TRL's `delta`.
    """
    rollout, optim, algorithm = recipe.rollout, recipe.optim, recipe.algorithm
    completions = rollout.prompts * rollout.completions
    return GRPOConfig(
        output_dir=str(out),
        seed=recipe.run.seed,
        # one rollout, its mini-batches, the length of the run
        num_generations=rollout.completions,
        generation_batch_size=completions,
        per_device_train_batch_size=completions // optim.updates_per_rollout,
        gradient_accumulation_steps=1,
        num_iterations=1,
        max_steps=optim.rollouts * optim.updates_per_rollout,
        shuffle_dataset=False,  # the task's rows are drawn in a seeded order already
        # the loss
        loss_type="dapo",
        epsilon=algorithm.clip_low,
        epsilon_high=algorithm.clip_high,
        delta=algorithm.dual_clip or None,
        beta=algorithm.beta,
        scale_rewards="group",
        entropy_coef=algorithm.entropy,
        use_bias_correction_kl=False,
        mask_truncated_completions=False,
        # sampling
        temperature=rollout.temperature,
        top_p=rollout.top_p,
        top_k=rollout.top_k,
        max_completion_length=rollout.max_completion_tokens,
        use_transformers_continuous_batching=False,  # it would cast the adapters to bfloat16
        # the optimizer
        learning_rate=optim.lr,
        weight_decay=optim.weight_decay,
        max_grad_norm=optim.max_grad_norm,
        # numbers: the frozen weights keep the recipe's type, the factors are float32
        bf16=False,
        fp16=False,
        activation_checkpointing=False,
        # output: ours
        logging_steps=1,
        save_strategy="steps" if recipe.run.save_every else "no",
        save_steps=max(1, recipe.run.save_every) * optim.updates_per_rollout,
        report_to=[],
        disable_tqdm=True,
        log_completions=False,
        dataloader_pin_memory=torch.cuda.is_available(),
    )


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
