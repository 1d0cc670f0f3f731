"""PEFT's own starts and TRL's own trainer, on the tiny model."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset
from peft import LoraConfig, PeftModel, get_peft_model
from torch import Tensor

from stiefel.nano.tokenizer import build_tokenizer
from stiefel.recipe.recipe import make_recipe
from stiefel.training.settings import grpo_config

PROMPTS = ("1+2?", "34-5?", "rabc?", "12+3?") * 4


def lora_config(init: bool | str, r: int = 4, alpha: int = 8, **settings: Any) -> LoraConfig:
    """PEFT's configuration of a start of its own."""
    settings = {"target_modules": "all-linear", "task_type": "CAUSAL_LM", **settings}
    return LoraConfig(r=r, lora_alpha=alpha, init_lora_weights=init, **settings)


def peft_start(model: Any, init: bool | str, **settings: Any) -> PeftModel:
    """A copy of the model with an adapter that PEFT started."""
    return get_peft_model(copy.deepcopy(model), lora_config(init, **settings)).eval()


def relative_change(new: Tensor, old: Tensor) -> float:
    """‖new − old‖/‖old‖."""
    return float((new.double() - old.double()).norm() / old.double().norm())


def distinct_tokens(completions: list[str], **columns: Any) -> list[float]:
    """A reward with a spread, so that there is something to learn."""
    return [len(set(completion)) / 8 for completion in completions]


@pytest.fixture
def train(tmp_path: Path) -> Callable[..., Any]:
    """train(trainer class, model, beta, lr): two rollouts of two updates on generated completions."""

    def run(
        trainer: type, model: Any, *, beta: float, lr: float, fit: bool = True, micro_batch: int = 0, **kwargs: Any
    ) -> Any:
        recipe = make_recipe(
            {
                "algorithm": {"beta": beta},
                "optim": {"lr": lr, "rollouts": 2, "updates_per_rollout": 2, "micro_batch": micro_batch},
                "rollout": {"prompts": 2, "completions": 4, "max_completion_tokens": 8},
            }
        )
        made = trainer(
            model,
            distinct_tokens,
            grpo_config(recipe, tmp_path),
            Dataset.from_list([{"prompt": prompt} for prompt in PROMPTS]),
            processing_class=build_tokenizer(),
            **kwargs,
        )
        if fit:
            made.train()
        return made

    return run


def logged(trainer: Any, key: str) -> list[float]:
    """One figure of every update's log that holds it."""
    return [log[key] for log in trainer.state.log_history if key in log]
