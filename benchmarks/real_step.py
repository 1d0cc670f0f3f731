"""A training step on the real model, ours and TRL's, on the same completions: what `benchmarks.real` races.

Both are TRL's trainers and are handed the same completions by its `rollout_func`, so that what is timed is the step:
scoring, the loss and its gradient, the optimizer.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
import trl
from datasets import Dataset
from peft import LoraConfig, get_peft_model
from transformers import TrainerCallback
from transformers.trainer_callback import PrinterCallback, ProgressCallback

import stiefel
from scripts.smollm2 import HOME
from stiefel.model.weights import load_model, load_tokenizer
from stiefel.recipe.recipe import make_recipe
from stiefel.training.metrics import RolloutMetrics
from stiefel.training.settings import grpo_config, rate_factor

RANK, ALPHA, TOKENS, UPDATES = 16, 32, 32, 2
PROMPTS, COMPLETIONS = 4, 4
RECIPE: dict[str, Any] = {
    "model": {"path": str(HOME)},
    "optim": {"updates_per_rollout": UPDATES, "lr": 1e-6},
    "rollout": {"prompts": PROMPTS, "completions": COMPLETIONS, "max_completion_tokens": TOKENS},
    "run": {"threads": 1, "save_every": 0},
}


def fixed(tokenizer: Any) -> Any:
    """TRL's rollout_func that gives the same tokens at every rollout, of which none ends a completion early."""
    generator = torch.Generator().manual_seed(0)
    drawn = torch.randint(1000, 40000, (PROMPTS * COMPLETIONS, TOKENS), generator=generator).tolist()

    def rollout(prompts: list[str], trainer: Any) -> dict[str, Any]:
        return {"prompt_ids": tokenizer(prompts)["input_ids"], "completion_ids": drawn, "logprobs": None}

    return rollout


def rewards(completions: list[str], **columns: Any) -> list[float]:
    """Differing within a group, so that every token has a gradient."""
    return [float(number % COMPLETIONS) for number in range(len(completions))]


def trainer_of(kind: str, rollouts: int, out: Path, *also: TrainerCallback) -> Any:
    """Bare TRL with PEFT's LoRA ("trl"), or ours with a method and all live metrics."""
    os.environ["TRL_EXPERIMENTAL_SILENCE"] = "1"
    recipe = make_recipe({**RECIPE, "optim": {**RECIPE["optim"], "rollouts": rollouts}})
    tokenizer = load_tokenizer(str(HOME))
    dataset = Dataset.from_list([{"prompt": f"What is {n} + {n + 7}?\n"} for n in range(10, 10 + PROMPTS * rollouts)])
    config = grpo_config(recipe, out)
    torch.manual_seed(0)
    base = load_model(str(HOME))
    given = {"processing_class": tokenizer, "rollout_func": fixed(tokenizer)}
    if kind == "trl":
        model: Any = get_peft_model(base, LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules="all-linear"))
        trainer: Any = trl.GRPOTrainer(model, rewards, config, dataset, callbacks=[*also], **given)
    else:
        model = stiefel.attach(base, kind, r=RANK, alpha=ALPHA)
        metrics = RolloutMetrics(out / "metrics.jsonl", lambda row: None)
        trainer = stiefel.GRPOTrainer(
            model, rewards, config, dataset, callbacks=[metrics, *also], rate_factor=rate_factor(recipe.optim), **given
        )
        metrics.watch(trainer)
    for callback in (PrinterCallback, ProgressCallback):
        trainer.remove_callback(callback)
    return trainer
