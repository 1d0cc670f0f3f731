"""Each algorithm, engine and schedule is spelled as TRL wants it, by name; TRL's own defaults decide nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from stiefel.artifacts import read_jsonl
from stiefel.errors import UserError
from stiefel.model.weights import load_tokenizer
from stiefel.recipe.recipe import load_recipe, make_recipe
from stiefel.run.run import train
from stiefel.training.settings import grpo_config, rate_factor, rate_factor_of_updates, sft_config
from tests.model.checkpoint.conftest import built

# what DAPO's, GRPO's and Dr. GRPO's papers ask for
ALGORITHMS: dict[str, dict[str, Any]] = {
    "dapo": {"loss_type": "dapo", "scale_rewards": "group", "epsilon_high": 0.28, "delta": 10.0, "beta": 0.0},
    "grpo": {"loss_type": "grpo", "scale_rewards": "group", "epsilon_high": 0.2, "delta": None, "beta": 0.04},
    "dr_grpo": {"loss_type": "dr_grpo", "scale_rewards": "none", "epsilon_high": 0.2, "delta": None, "beta": 0.0},
}


@pytest.mark.parametrize("name", ALGORITHMS)
def test_an_algorithm_is_spelled_as_its_paper_defines_it(name: str, tmp_path: Path) -> None:
    config = grpo_config(make_recipe({"algorithm": {"name": name}}), tmp_path)
    expected = {
        **ALGORITHMS[name],
        "epsilon": 0.2,
        "importance_sampling_level": "token",
        "num_iterations": 1,
        "entropy_coef": 0.0,
        "router_aux_loss_coef": 0.0,
        "use_bias_correction_kl": False,
        "mask_truncated_completions": False,
        "vllm_importance_sampling_correction": False,
        "use_vllm": False,
        "bf16": False,
        "activation_checkpointing": False,
        "report_to": [],
    }
    assert {key: vars(config)[key] for key in expected} == expected


@pytest.mark.filterwarnings("ignore:.all-linear. leaves out:UserWarning")
@pytest.mark.parametrize("algorithm", [{"name": "dapo"}, {"name": "sft", "batch": 2, "epochs": 1}], ids=str)
def test_a_routers_own_loss_is_left_out(algorithm: dict[str, Any], tmp_path: Path) -> None:
    """TRL would add it, and counts the experts by a name that Granite's settings do not have."""
    model = tmp_path / "model"
    built("granite-moe", torch.float32).save_pretrained(model)
    load_tokenizer("nano").save_pretrained(str(model))
    sampled = {"optim": {"rollouts": 1}, "rollout": {"prompts": 2, "completions": 4, "max_completion_tokens": 8}}
    tables = {
        "model": {"path": str(model)},
        "adapter": {"method": "rlpo", "rank": 4},
        "task": {"name": "nano-arithmetic", "train_rows": 2},
        "algorithm": algorithm,
        "run": {"threads": 1},
        "eval": {"tasks": []},
        **(sampled if algorithm["name"] == "dapo" else {}),
    }
    train(make_recipe(tables), tmp_path / "run")
    assert len(read_jsonl(tmp_path / "run" / "metrics.jsonl")) == 1


def test_a_routers_own_loss_has_no_weight_whatever_the_algorithm(tmp_path: Path) -> None:
    """Mixtral's and Qwen's settings have the name by which TRL counts experts: there it would be added in silence."""
    supervised = make_recipe({"algorithm": {"name": "sft"}})
    found = grpo_config(make_recipe({}), tmp_path), sft_config(supervised, tmp_path)
    assert [config.router_aux_loss_coef for config in found] == [0.0, 0.0]


def test_the_papers_main_protocol_is_the_known_mapping(tmp_path: Path) -> None:
    """128 prompts × 8, mini-batches of 32 prompts: four updates a rollout, worked off in pieces."""
    tables = {
        "optim": {"updates_per_rollout": 4, "micro_batch": 16, "rollouts": 500},
        "rollout": {"prompts": 128, "completions": 8},
    }
    config = grpo_config(make_recipe(tables), tmp_path)
    assert config.num_generations == 8
    assert config.generation_batch_size == 1024
    assert config.gradient_accumulation_steps == 256 // 16
    assert config.steps_per_generation // config.gradient_accumulation_steps == 4
    assert config.max_steps == 2000


def test_processes_share_a_mini_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = make_recipe({})  # 64 completions, two mini-batches
    monkeypatch.setenv("WORLD_SIZE", "3")
    with pytest.raises(UserError, match="do not divide among 3 processes"):
        grpo_config(recipe, tmp_path)


def test_pieces_that_do_not_divide_name_those_that_would() -> None:
    with pytest.raises(UserError, match="one of 1, 2, 4, 8, 16, 32"):
        make_recipe({"optim": {"micro_batch": 3}})


def test_pieces_change_the_memory_and_not_the_update(tmp_path: Path) -> None:
    """The same mini-batch in one piece and in four: the gradient is the same sum in another order."""
    tables: dict[str, Any] = {
        "optim": {"rollouts": 1, "lr": 1e-3},
        "rollout": {"prompts": 4, "completions": 4, "max_completion_tokens": 32},
        "run": {"threads": 1},
    }
    norms = []
    for micro_batch in (8, 2):
        recipe = make_recipe(tables, [f"optim.micro_batch={micro_batch}"])
        train(recipe, tmp_path / str(micro_batch))
        norms.append(read_jsonl(tmp_path / str(micro_batch) / "metrics.jsonl")[0]["grad_norm"])
    # float32 sums over 16 completions of at most 32 tokens, in another order: eps·n relative to the terms' absolute sum
    assert norms[0] == pytest.approx(norms[1], rel=16 * 32 * 1.2e-7 * 10)


@pytest.mark.parametrize("correction", ["off", "token_truncate", "token_mask", "sequence_truncate", "sequence_mask"])
def test_vllm_is_told_everything(correction: str, tmp_path: Path) -> None:
    rollout = {
        "engine": "vllm",
        "vllm_memory": 0.75,
        "max_prompt_tokens": 64,
        "vllm_tensor_parallel": 2,
        "importance_correction": correction,
        "importance_cap": 2.0,
    }
    config = grpo_config(make_recipe({"rollout": rollout}), tmp_path)
    assert config.use_vllm
    assert config.vllm_mode == "colocate"
    assert config.vllm_gpu_memory_utilization == 0.75
    assert config.vllm_tensor_parallel_size == 2
    assert config.vllm_max_model_length == 64 + 64
    assert config.vllm_importance_sampling_correction is (correction != "off")
    if correction != "off":
        assert config.vllm_importance_sampling_mode == correction
        assert config.vllm_importance_sampling_clip_max == 2.0


def test_a_vllm_server_is_named_by_its_address(tmp_path: Path) -> None:
    rollout = {"engine": "vllm", "vllm_mode": "server", "vllm_server": "http://node7:9000"}
    config = grpo_config(make_recipe({"rollout": rollout}), tmp_path)
    assert config.vllm_mode == "server"
    assert config.vllm_server_base_url == "http://node7:9000"


def test_supervised_training_learns_the_completion_alone_and_cuts_nothing(tmp_path: Path) -> None:
    recipe = make_recipe({"algorithm": {"name": "sft", "epochs": 3, "batch": 12}, "optim": {"micro_batch": 4}})
    config = sft_config(recipe, tmp_path)
    expected = {
        "num_train_epochs": 3,
        "per_device_train_batch_size": 4,
        "gradient_accumulation_steps": 3,
        "completion_only_loss": True,
        "packing": False,
        "padding_free": False,
        "max_length": None,
        "loss_type": "nll",
        "bf16": False,
    }
    assert {key: vars(config)[key] for key in expected} == expected


def test_a_schedule_counts_rollouts_and_updates_where_there_are_none() -> None:
    """As in verl, all updates of a rollout have one rate; Hugging Face's schedules step at every update."""
    optim = make_recipe({"optim": {"schedule": "cosine", "rollouts": 5, "updates_per_rollout": 4}}).optim
    factors = [rate_factor(optim)(update) for update in range(20)]
    assert [len(set(factors[i : i + 4])) for i in range(0, 20, 4)] == [1] * 5
    assert len(set(factors)) == 5
    counted = [rate_factor_of_updates(optim, 5)(update) for update in range(5)]
    assert counted == factors[::4]


@pytest.mark.parametrize(
    "key", ["rollout.prompts=4", "optim.rollouts=5", "run.kl_every=3", "guard.action=stop", "algorithm.beta=0.1"]
)
def test_a_setting_of_rollouts_is_refused_for_supervised_training(key: str) -> None:
    with pytest.raises(UserError, match="is set for sft"):
        make_recipe({"algorithm": {"name": "sft"}}, [key])


def test_a_resolved_recipe_of_supervised_training_reads_back(tmp_path: Path) -> None:
    recipe = make_recipe({"algorithm": {"name": "sft", "epochs": 2}})
    (tmp_path / "recipe.toml").write_text(recipe.to_toml())
    assert load_recipe(tmp_path / "recipe.toml") == recipe
