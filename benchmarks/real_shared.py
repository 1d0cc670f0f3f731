"""A whole rollout on the real model's warm base, with `rollout.share_prompts` and without: `benchmarks.real` runs both.

Everything is the recipe's: prompts, completions that the model draws, graders, two updates. Both draw the same
completions until rounding sets them apart, and train at a rate at which that takes long.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transformers import TrainerCallback
from transformers.trainer_callback import PrinterCallback, ProgressCallback

import stiefel
from benchmarks.rows import SMOLLM2
from stiefel.recipe import load_recipe
from stiefel.run import adapted, load_pair, trained_task
from stiefel.training import RolloutMetrics, trainer_arguments, training_rows

UPDATES = 2  # of the recipe


def trainer_of(kind: str, rollouts: int, out: Path, *also: TrainerCallback) -> Any:
    """A LoRA on the skills' recipe; "whole" computes every completion's prompt, "shared" each prompt once."""
    changes = [*SMOLLM2.changes, "adapter.method='lora'", "optim.lr=1e-6", f"optim.rollouts={rollouts}"]
    recipe = load_recipe(SMOLLM2.recipe, [*changes, f"rollout.share_prompts={str(kind == 'shared').lower()}"])
    model, tokenizer = load_pair(recipe)
    task = trained_task(recipe)
    metrics = RolloutMetrics(out / "metrics.jsonl", lambda row: None)
    trainer = stiefel.GRPOTrainer(
        adapted(recipe, model),
        callbacks=[metrics, *also],
        **trainer_arguments(recipe, task, training_rows(recipe, task, tokenizer), tokenizer, out),
    )
    metrics.watch(trainer)
    for callback in (PrinterCallback, ProgressCallback):
        trainer.remove_callback(callback)
    return trainer
