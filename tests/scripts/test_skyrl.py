"""The settings for SkyRL are the recipe's, what it cannot do is refused, and where SkyRL is installed it takes them."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import pytest

from scripts.skyrl import check, overrides, words
from stiefel.errors import UserError
from stiefel.recipe import Recipe
from stiefel.recipe.recipe import make_recipe

BASE = {"adapter": {"method": "lora"}, "model": {"dtype": "bfloat16"}}


def recipe(**tables: dict[str, Any]) -> Recipe:
    return make_recipe({**BASE, **tables})


def settings(given: Recipe, gpus: int = 8) -> dict[str, Any]:
    return overrides(given, gpus, "gsm8k", "train.parquet")


@pytest.mark.parametrize(
    ("name", "reduction"),
    [("dapo", "token_mean"), ("grpo", "sequence_mean"), ("dr_grpo", "seq_mean_token_sum_norm")],
)
def test_a_loss_is_reduced_as_the_recipes(name: str, reduction: str) -> None:
    given = settings(recipe(algorithm={"name": name}))
    assert given["trainer.algorithm.loss_reduction"] == reduction
    assert given["trainer.algorithm.grpo_norm_by_std"] == (name != "dr_grpo")


def test_batches_are_counted_in_prompts_and_the_length_in_rollouts() -> None:
    given = settings(recipe(optim={"updates_per_rollout": 4, "rollouts": 7}, rollout={"prompts": 16}))
    assert given["trainer.train_batch_size"] == 16
    assert given["trainer.policy_mini_batch_size"] == 4
    assert given["trainer.max_training_steps"] == 7


def test_a_correction_of_the_engines_probabilities_keeps_its_bound() -> None:
    rollout = {"engine": "vllm", "importance_correction": "sequence_truncate", "importance_cap": 4.0}
    key = "trainer.algorithm.off_policy_correction"
    given = settings(recipe(rollout=rollout))
    assert given[f"{key}.tis_ratio_type"] == "sequence"
    assert given[f"{key}.sequence_tis_ratio_clip_high"] == 4.0


@pytest.mark.parametrize(
    ("tables", "named"),
    [
        ({"adapter": {"method": "rlpo"}}, "adapter.method"),
        ({"model": {"dtype": "float32"}}, "model.dtype"),
        ({"optim": {"schedule": "cosine"}}, "optim.schedule"),
        ({"algorithm": {"overlong_buffer": 8}}, "overlong_buffer"),
        ({"optim": {"updates_per_rollout": 16}}, "updates_per_rollout"),
    ],
)
def test_what_skyrl_would_not_honour_is_refused_by_name(tables: dict[str, Any], named: str) -> None:
    with pytest.raises(UserError, match=named):
        settings(recipe(**tables))


@pytest.mark.skipif(find_spec("skyrl") is None, reason="SkyRL is not installed")
@pytest.mark.parametrize("name", ["dapo", "grpo", "dr_grpo"])
def test_skyrls_own_checks_take_them(name: str) -> None:
    assert "takes all" in check(words(settings(recipe(algorithm={"name": name}))))
