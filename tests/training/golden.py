"""Golden traces: `python -m tests.training.golden` records them again (after a change that is meant to move them)."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset

import stiefel
from stiefel.methods import METHODS, used_settings
from stiefel.model.weights import load_model, load_tokenizer
from stiefel.quiet import quiet
from stiefel.recipe.recipe import Recipe, make_recipe
from stiefel.tasks import find_task
from stiefel.training.rewards import GradedReward
from stiefel.training.settings import grpo_config, rate_factor

GOLDEN = Path(__file__).with_name("golden.json")
SETTINGS = {"rank", "alpha", "dropout", "targets"}
KEYS = ("loss", "grad_norm", "entropy", "clip_ratio/region_mean", "kl_rollout")
RECIPE = {
    "optim": {"rollouts": 3, "updates_per_rollout": 2, "lr": 1e-3},
    "rollout": {"prompts": 4, "completions": 4, "max_completion_tokens": 48},
    "run": {"threads": 1, "seed": 3},
}


def stored_rollouts(recipe: Recipe) -> dict[str, Any]:
    """Prompts, and completions that the base sampled for them: what every golden run is trained on."""
    torch.set_num_threads(1)
    torch.manual_seed(recipe.run.seed)
    model, tokenizer = load_model("nano"), load_tokenizer("nano")
    rows = find_task(recipe.task.name).rows("train", recipe.optim.rollouts * recipe.rollout.prompts, recipe.run.seed)
    prompts = [row.prompt for row in rows for _ in range(recipe.rollout.completions)]
    inputs = tokenizer(prompts, return_tensors="pt", padding=True)
    output = model.generate(
        **inputs, do_sample=True, top_k=0, max_new_tokens=recipe.rollout.max_completion_tokens, pad_token_id=0
    )
    completions = output[:, inputs["input_ids"].shape[1] :].tolist()
    ended = [ids[: ids.index(tokenizer.eos_token_id) + 1] for ids in completions]
    return {"rows": [[row.prompt, row.answer] for row in rows], "completions": ended}


def trace(method: str, stored: dict[str, Any], out: Path) -> list[dict[str, float]]:
    """The logs of six updates (three rollouts of two) on stored completions, through TRL's own loop."""
    os.environ["TRL_EXPERIMENTAL_SILENCE"] = "1"  # rollout_func is TRL's way to bring completions along
    recipe = make_recipe(RECIPE)
    torch.set_num_threads(1)
    tokenizer = load_tokenizer("nano")
    given = used_settings(method, **recipe.adapter.model_dump(include=SETTINGS))
    model = stiefel.attach(load_model("nano"), method, seed=3, **given)
    completions = iter(stored["completions"])

    def rollout(prompts: list[str], trainer: Any) -> dict[str, Any]:
        return {
            "prompt_ids": tokenizer(prompts)["input_ids"],
            "completion_ids": [next(completions) for _ in prompts],
            "logprobs": None,
        }

    trainer = stiefel.GRPOTrainer(
        model,
        GradedReward(find_task(recipe.task.name).grader),
        grpo_config(recipe, out),
        Dataset.from_list([{"prompt": prompt, "answer": answer} for prompt, answer in stored["rows"]]),
        processing_class=tokenizer,
        rollout_func=rollout,
        rate_factor=rate_factor(recipe.optim),
    )
    trainer.train()
    logs = [row for row in trainer.state.log_history if "grad_norm" in row]
    return [{key: row[key] for key in KEYS if key in row} for row in logs]


if __name__ == "__main__":
    quiet()
    kept = stored_rollouts(make_recipe(RECIPE))
    traces = {method.name: trace(method.name, kept, Path(tempfile.mkdtemp())) for method in METHODS}
    GOLDEN.write_text(json.dumps({**kept, "traces": traces}, indent=1) + "\n")
