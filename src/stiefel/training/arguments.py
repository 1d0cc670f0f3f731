"""A recipe → what GRPOTrainer is told of it: one place, so that whoever looks at a run before it sees the same one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from datasets import Dataset

from ..model import context_length, end_ids, resolve_model, visible_ends
from ..recipe import Recipe
from ..tasks import Task
from .cap_rows import CapRow, cap_rows
from .rewards import Graded, GradedReward, opening_of, shaping
from .rows import longest_prompt
from .settings import grpo_config, rate_factor


def trainer_arguments(
    recipe: Recipe,
    task: Task,
    dataset: Dataset,
    tokenizer: Any,
    out: Path,
    *,
    scale: float = 1.0,
    keep: Callable[[Graded], None] | None = None,
    measured: int = 0,
) -> dict[str, Any]:
    """Rewards, rows, settings, divergences, sampling and the optimizer.

    `scale` multiplies the schedule's rates, `keep` is given all that is sampled and graded. `measured` is the
    longest question and answer, in tokens, that the run's engine must have room for beside those that are trained on.
    """
    factor = rate_factor(recipe.optim)
    longest = longest_prompt(dataset, tokenizer) if recipe.rollout.engine == "vllm" else None
    ends = end_ids(tokenizer, None, recipe.model.turn_ends)
    correctness = GradedReward(
        task.grader,
        opening_of(dataset[0]["prompt"], tokenizer),
        visible_ends(tokenizer, ends),
        limit=recipe.rollout.max_completion_tokens,
        ends=ends,
        keep=keep,
    )
    return {
        "reward_funcs": [correctness, *shaping(recipe, correctness)],
        "train_dataset": dataset,
        "processing_class": tokenizer,
        "args": grpo_config(recipe, out, longest, measured),
        "sync": recipe.rollout.sync or None,
        "kl_every": recipe.run.kl_every,
        "max_gen_batches": recipe.algorithm.max_gen_batches if recipe.algorithm.dynamic_sampling else 0,
        "weight_decay_on": recipe.optim.weight_decay_on,
        "reference": recipe.algorithm.reference,
        "share_prompts": recipe.rollout.share_prompts,
        "kl_cap": recipe.optim.kl_cap,
        "kl_cap_rows": held_rows(recipe, tokenizer),
        "kl_cap_total": recipe.optim.kl_cap_total,
        "rate_factor": lambda update: scale * factor(update),
    }


def held_rows(recipe: Recipe, tokenizer: Any) -> list[CapRow]:
    """The rows of `optim.kl_cap_rows`; none where it names no file."""
    if not recipe.optim.kl_cap_rows:
        return []
    context = context_length(resolve_model(recipe.model.path, recipe.model.revision))
    return cap_rows(Path(recipe.optim.kl_cap_rows).expanduser(), tokenizer, context)
