"""One update of our trainer, on TRL, in the main environment: python -m tests.verl.trl_update ADAPTER OUT BETA."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset

import stiefel
from stiefel.engine import policy_factors
from stiefel.model import load_model
from stiefel.model.weights import load_tokenizer
from stiefel.quiet import quiet
from stiefel.recipe.recipe import make_recipe
from stiefel.training import grpo_config

SETTINGS = {"lr": 0.1, "weight_decay": 0.1, "weight_decay_on": "factors"}
PROMPT, RESPONSE, ROWS = 6, 5, 8


def stored() -> dict[str, torch.Tensor]:
    """A rollout, padded as TRL pads it: prompts on the left, completions on the right."""
    draw = torch.Generator().manual_seed(5)
    ids = torch.randint(3, 29, (ROWS, PROMPT + RESPONSE), generator=draw)
    prompts = torch.randint(2, PROMPT + 1, (ROWS, 1), generator=draw)
    responses = torch.randint(1, RESPONSE + 1, (ROWS, 1), generator=draw)
    places = torch.arange(PROMPT + RESPONSE)
    mask = ((places >= PROMPT - prompts) & (places < PROMPT + responses)).long()
    return {
        "ids": ids * mask,
        "mask": mask,
        "advantages": torch.randn(ROWS, generator=draw),
        "noise": 0.5 * torch.randn(ROWS, RESPONSE, generator=draw),
        "away": 0.3 * torch.randn(ROWS, RESPONSE, generator=draw),
    }


def main(adapter: str, out: str, beta: float) -> None:
    """Write the old log-probabilities that both engines are given, and the factors that the update leaves."""
    torch.set_num_threads(1)
    quiet()
    recipe = make_recipe(
        {
            "algorithm": {"name": "dapo", "beta": beta},
            "optim": {**SETTINGS, "updates_per_rollout": 1, "max_grad_norm": 0.5},
            "rollout": {"prompts": 2, "completions": 4, "max_completion_tokens": RESPONSE},
        }
    )
    args = grpo_config(recipe, Path(tempfile.mkdtemp()))
    args.adam_epsilon = 1.0  # AdamW's first step is then no steeper than the gradient, and passes its rounding on
    trainer = stiefel.GRPOTrainer(
        stiefel.load(load_model("nano"), adapter),
        lambda completions, **more: [0.0] * len(completions),
        args,
        Dataset.from_list([{"prompt": "1+2?"}] * 8),
        processing_class=load_tokenizer("nano"),
        weight_decay_on=SETTINGS["weight_decay_on"],
    )
    trainer.model.train()
    trainer.current_gradient_accumulation_steps = 1
    optimizer = trainer.create_optimizer()
    batch = stored()
    ids, mask = batch["ids"], batch["mask"]
    with torch.no_grad():
        now, _, _ = trainer._get_per_token_logps_and_entropies(trainer.model, ids, mask, RESPONSE)
    inputs: dict[str, Any] = {
        "prompt_ids": ids[:, :PROMPT],
        "prompt_mask": mask[:, :PROMPT],
        "completion_ids": ids[:, PROMPT:],
        "completion_mask": mask[:, PROMPT:],
        "advantages": batch["advantages"],
        "num_items_in_batch": mask[:, PROMPT:].sum(),
        "old_per_token_logps": now + batch["noise"],
        "ref_per_token_logps": now + batch["away"],
    }
    trainer._compute_loss(trainer.model, inputs).backward()
    norm = torch.nn.utils.clip_grad_norm_(trainer.model.parameters(), args.max_grad_norm)
    optimizer.step()
    ratio = (now - inputs["old_per_token_logps"])[mask[:, PROMPT:] == 1].exp()
    torch.save(
        {
            "old": inputs["old_per_token_logps"],
            "reference": inputs["ref_per_token_logps"],
            "norm": float(norm),
            "clipped": float(((ratio < 0.8) | (ratio > 1.28)).double().mean()),
            "factors": {factors.name: (factors.A, factors.B) for factors in policy_factors(trainer.model)},
        },
        out,
    )


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]))
