"""A policy whose logits are no numbers is noticed before a token of it is used, and its run says so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset

import stiefel
from stiefel.artifacts import read_json
from stiefel.nano.tokenizer import build_tokenizer
from stiefel.recipe.recipe import make_recipe
from stiefel.run.directory import status
from stiefel.run.reaction import Diverged
from stiefel.run.run import train
from stiefel.training.probabilities import NoProbabilities, finite_logits
from stiefel.training.settings import grpo_config

IDS = torch.arange(3, 13).view(2, 5)
HOT: dict[str, Any] = {
    "optim": {"rollouts": 1, "lr": 1e30},
    "rollout": {"prompts": 4, "completions": 4, "max_completion_tokens": 8},
    "run": {"threads": 1},
    "eval": {"tasks": ["nano-sort"], "limit": 5, "temperature": 1.0},
}


def drawn(model: Any) -> Any:
    return model.generate(IDS, do_sample=True, max_new_tokens=3, pad_token_id=0)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_logits_that_are_no_numbers_raise_at_the_end_of_the_block(value: float, make_model: Any) -> None:
    model = make_model()
    model.lm_head.weight.data[7] = value
    with pytest.raises(RuntimeError, match="probability tensor contains"):
        drawn(model)
    made = []

    def draw() -> None:
        with finite_logits(model):
            made.append(drawn(model))  # goes on: on a GPU the assertion would end the process

    with pytest.raises(NoProbabilities):
        draw()
    assert made[0].shape == (2, 8)


def test_finite_logits_keep_their_bits_and_a_token_may_be_impossible(make_model: Any) -> None:
    model = make_model()
    model.lm_head.register_forward_hook(
        lambda module, arguments, logits: logits.index_fill(-1, torch.tensor([5]), -torch.inf)
    )
    torch.manual_seed(0)
    plain = drawn(model)
    torch.manual_seed(0)
    with finite_logits(model):
        assert torch.equal(drawn(model), plain)
    assert len(model.lm_head._forward_hooks) == 1  # ours is gone


def test_a_script_is_told_in_a_message(make_model: Any, tmp_path: Path) -> None:
    model = stiefel.attach(make_model(), "lora", r=4)
    trainer = stiefel.GRPOTrainer(
        model,
        lambda completions, **columns: [float(len(text)) for text in completions],
        grpo_config(make_recipe(HOT), tmp_path),
        Dataset.from_list([{"prompt": "1+2?"}] * 4),
        processing_class=build_tokenizer(),
    )
    for parameter in model.parameters():  # all: on some processors attention makes zeros of queries that are NaN
        if parameter.requires_grad:
            parameter.data.fill_(torch.nan)
    with pytest.raises(NoProbabilities, match="gives no probabilities"):
        trainer.train()


def test_a_policy_lost_in_the_last_update_is_noted_when_it_is_evaluated(tmp_path: Path) -> None:
    with pytest.raises(Diverged, match="no probabilities any more after rollout 1"):
        train(make_recipe(HOT), tmp_path / "run")
    assert status(tmp_path / "run") == "diverged"
    assert "after rollout 1" in read_json(tmp_path / "run" / "manifest.json")["reason"]
