"""Every recipe that verl can do becomes settings that verl accepts, and that say what the recipe says."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf
from verl.trainer.config import AlgoConfig
from verl.trainer.ppo.utils import need_critic, need_reference_policy
from verl.utils.config import omega_conf_to_dataclass, validate_config
from verl.workers.config import FSDPActorConfig, RolloutConfig

from stiefel.engine import rank_served
from stiefel.model import model_files
from stiefel.training import rate_factor
from stiefel.verl.overrides import Place
from tests.verl.recipes import LAUNCHED, composed, launched, overrides

ACTOR, ROLLOUT, MODEL = "actor_rollout_ref.actor", "actor_rollout_ref.rollout", "actor_rollout_ref.model"


@pytest.fixture(scope="module", autouse=True)
def _vllm() -> Iterator[None]:
    """Where verl's check asks vLLM for the ranks that it serves; what stands around that needs a GPU's packages."""
    rollouts = "verl.workers.rollout.vllm_rollout"
    with pytest.MonkeyPatch.context() as patch:
        for name, holds in {rollouts: {}, f"{rollouts}.utils": {"get_vllm_max_lora_rank": rank_served}}.items():
            module = ModuleType(name)
            vars(module).update(holds)
            patch.setitem(sys.modules, name, module)
        yield


def validated(config: Any) -> None:
    """verl's own check before it starts anything."""
    validate_config(config, need_reference_policy(config), need_critic(config))


@pytest.mark.parametrize("name", LAUNCHED)
def test_verl_accepts_every_override_and_its_typed_settings_pass(name: str) -> None:
    config = composed(overrides(launched(name)))
    validated(config)
    assert isinstance(omega_conf_to_dataclass(config.actor_rollout_ref.actor), FSDPActorConfig)
    assert isinstance(omega_conf_to_dataclass(config.actor_rollout_ref.rollout), RolloutConfig)
    assert isinstance(omega_conf_to_dataclass(config.algorithm), AlgoConfig)
    assert not need_critic(config)


# EXPERIMENTS.md §1, the RLPO paper's Table 2 and its appendix C.1
PROTOCOL = {
    f"{MODEL}.path": "/tmp/model",
    "algorithm.adv_estimator": "grpo",
    "algorithm.norm_adv_by_std_in_grpo": True,
    "algorithm.use_kl_in_reward": False,  # KL reward coefficient 0
    f"{ACTOR}.use_kl_loss": False,  # actor KL loss coefficient 0
    f"{ACTOR}.kl_loss_coef": 0.0,
    f"{ACTOR}.clip_ratio_low": 0.2,
    f"{ACTOR}.clip_ratio_high": 0.28,
    f"{ACTOR}.clip_ratio_c": 10.0,
    f"{ACTOR}.loss_agg_mode": "token-mean",
    f"{ACTOR}.entropy_coeff": 0.0,
    "reward.reward_kwargs.overlong_buffer_cfg.enable": True,
    "reward.reward_kwargs.overlong_buffer_cfg.len": 4096,
    "reward.reward_kwargs.overlong_buffer_cfg.penalty_factor": 1.0,
    "reward.reward_kwargs.max_resp_len": 16384,
    "reward.reward_manager.name": "dapo",
    "algorithm.filter_groups.enable": False,  # in Eq. 5, neither in Table 2 nor in the authors' scripts
    "data.train_batch_size": 128,  # prompts
    f"{ROLLOUT}.n": 8,
    f"{ACTOR}.ppo_mini_batch_size": 32,  # prompts: 4 updates a rollout
    f"{ACTOR}.ppo_epochs": 1,
    f"{ACTOR}.optim.optimizer": "AdamW",
    f"{ACTOR}.optim.lr": 1e-5,
    f"{ACTOR}.optim.weight_decay": 0.1,
    f"{ACTOR}.optim.clip_grad": 1.0,
    f"{ACTOR}.optim.lr_warmup_steps": 0,
    f"{ACTOR}.optim.lr_scheduler_type": "cosine",  # Table 1's
    f"{ACTOR}.optim.min_lr_ratio": 0.0,
    "trainer.total_training_steps": 500,
    f"{MODEL}.lora_rank": 16,
    f"{MODEL}.lora_alpha": 32,
    f"{MODEL}.target_modules": "all-linear",
    f"{ROLLOUT}.temperature": 1.0,
    f"{ROLLOUT}.top_p": 1.0,
    f"{ROLLOUT}.top_k": -1,
    "data.max_prompt_length": 512,
    "data.max_response_length": 16384,
    f"{ROLLOUT}.prompt_length": 512,
    f"{ROLLOUT}.response_length": 16384,
    "trainer.nnodes": 1,
    "trainer.n_gpus_per_node": 8,
    f"{ROLLOUT}.name": "vllm",
    f"{ROLLOUT}.tensor_model_parallel_size": 2,
    f"{ROLLOUT}.gpu_memory_utilization": 0.75,
    f"{ROLLOUT}.enable_chunked_prefill": True,
    f"{MODEL}.enable_gradient_checkpointing": True,
    f"{MODEL}.use_remove_padding": True,
    f"{ACTOR}.use_dynamic_bsz": True,
    f"{ACTOR}.fsdp_config.param_offload": True,
    f"{ACTOR}.fsdp_config.optimizer_offload": True,
    "actor_rollout_ref.ref.fsdp_config.param_offload": True,
    f"{MODEL}.override_config.attn_implementation": "flash_attention_2",
    f"{ROLLOUT}.dtype": "bfloat16",
}


def test_the_papers_protocol_field_by_field() -> None:
    config = composed(overrides(launched("rlpo")))
    found = {key: OmegaConf.select(config, key, throw_on_missing=True) for key in PROTOCOL}
    assert found == PROTOCOL


# Table 1's columns, as recipes/rlpo/main.toml says to ask for them → (rank, alpha) of the directory
COLUMNS = {
    ("adapter.method=gaussian",): (16, 32),
    ("adapter.method=rlpo",): (16, 32),
    ("adapter.method=rlmo",): (16, 32),
    ("adapter.method=pissa", 'adapter.options={sigma = "divided"}'): (32, 64),
    ("adapter.method=milora", 'adapter.options={sigma = "undivided"}'): (32, 64),
}


@pytest.mark.parametrize("changes", COLUMNS, ids=lambda changes: changes[0])
def test_every_method_of_the_papers_table_keeps_the_protocol(changes: tuple[str, ...]) -> None:
    config = composed(overrides(launched("rlpo", *changes)))
    validated(config)
    rank, alpha = COLUMNS[changes]
    lora = {f"{MODEL}.lora_rank": rank, f"{MODEL}.lora_alpha": alpha}
    assert {key: OmegaConf.select(config, key) for key in PROTOCOL} == PROTOCOL | lora


@pytest.mark.parametrize(
    ("name", "averaged", "divided", "horizon"),
    [
        ("nano-dapo", "token-mean", True, None),
        ("nano-grpo", "seq-mean-token-mean", True, None),
        ("nano-dr-grpo", "seq-mean-token-sum-norm", False, 64),
    ],
)
def test_each_algorithm_averages_and_divides_as_it_is_published(
    name: str, averaged: str, divided: bool, horizon: int | None
) -> None:
    config = composed(overrides(launched(name)))
    actor = config.actor_rollout_ref.actor
    assert (actor.loss_agg_mode, config.algorithm.norm_adv_by_std_in_grpo) == (averaged, divided)
    assert actor.loss_scale_factor == horizon


def losses() -> tuple[torch.Tensor, torch.Tensor]:
    """Tokens of a mini-batch of four completions of unlike lengths, and which of them are there."""
    draw = torch.Generator().manual_seed(0)
    mask = (torch.arange(64) < torch.tensor([[64], [3], [17], [1]])).float()
    return torch.randn(4, 64, generator=draw), mask


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("nano-dapo", lambda loss, mask: (loss * mask).sum() / mask.sum()),
        ("nano-grpo", lambda loss, mask: ((loss * mask).sum(1) / mask.sum(1)).mean()),
        ("nano-dr-grpo", lambda loss, mask: (loss * mask).sum() / (4 * 64)),  # × the longest completion allowed
    ],
)
def test_verls_own_average_is_the_algorithms(name: str, expected: Any) -> None:
    from verl.trainer.ppo.core_algos import agg_loss

    actor = composed(overrides(launched(name))).actor_rollout_ref.actor
    loss, mask = losses()
    batch = {"dp_size": 1, "batch_num_tokens": int(mask.sum()), "global_batch_size": 4}
    mode, factor = actor.loss_agg_mode, actor.loss_scale_factor
    torch.testing.assert_close(agg_loss(loss, mask, mode, loss_scale_factor=factor, **batch), expected(loss, mask))


def test_without_a_dual_clip_no_ratio_is_bounded() -> None:
    from verl.trainer.ppo.core_algos import compute_policy_loss_vanilla

    recipe = launched("nano-grpo")
    assert recipe.algorithm.dual_clip == 0
    actor = omega_conf_to_dataclass(composed(overrides(recipe)).actor_rollout_ref.actor)
    new = torch.tensor([[12.0]])  # a ratio of 160,000 at a negative advantage
    loss, _ = compute_policy_loss_vanilla(
        torch.zeros(1, 1), new, torch.tensor([[-1.0]]), torch.ones(1, 1), actor.loss_agg_mode, actor
    )
    torch.testing.assert_close(loss, new.exp().squeeze())


def test_the_divergence_is_ours() -> None:
    """`low_var_kl` is k3, r − 1 − log r with r = π_base/π: what TRL's beta weighs."""
    from verl.trainer.ppo.core_algos import kl_penalty

    config = composed(overrides(launched("nano-grpo"))).actor_rollout_ref.actor
    assert (config.use_kl_loss, config.kl_loss_coef) == (True, 0.04)
    policy, base = torch.tensor([-1.0, -2.0, -0.3]), torch.tensor([-1.5, -1.2, -0.3])
    found = kl_penalty(policy, base, config.kl_loss_type)
    torch.testing.assert_close(found, (base - policy).exp() - (base - policy) - 1)


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_verls_schedule_is_ours_rollout_by_rollout(schedule: str) -> None:
    from verl.utils.torch_functional import get_constant_schedule_with_warmup, get_cosine_schedule_with_warmup

    recipe = launched("nano-dapo", f"optim.schedule={schedule}")
    asked = composed(overrides(recipe)).actor_rollout_ref.actor.optim
    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=asked.lr)
    if schedule == "constant":
        steps = get_constant_schedule_with_warmup(optimizer, asked.lr_warmup_steps)
    else:
        steps = get_cosine_schedule_with_warmup(
            optimizer, asked.lr_warmup_steps, 60, min_lr_ratio=asked.min_lr_ratio, num_cycles=asked.num_cycles
        )
    ours = rate_factor(recipe.optim)
    for rollout in range(60):
        factor = ours(rollout * recipe.optim.updates_per_rollout)
        assert steps.get_last_lr()[0] == pytest.approx(asked.lr * factor, rel=1e-6, abs=1e-12)
        optimizer.step()
        steps.step()


def test_the_variables_reach_rays_workers_beside_verls_own() -> None:
    from verl.trainer.constants_ppo import get_ppo_ray_runtime_env

    config = composed(overrides(launched("rlpo")))
    merged = OmegaConf.merge(get_ppo_ray_runtime_env(config), config.ray_kwargs.ray_init.runtime_env)
    assert merged.env_vars.STIEFEL_VERL == "/tmp/run/verl.json"
    assert merged.env_vars.VLLM_ALLOW_RUNTIME_LORA_UPDATING == "true"


def test_verls_model_settings_take_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    place = Place("/tmp/run", str(model_files("nano")), "/tmp/run/adapter")
    config = composed(overrides(launched("nano-dapo", "cluster.remove_padding=false"), place))
    model = omega_conf_to_dataclass(config.actor_rollout_ref.model)
    assert (model.lora_rank, model.lora_alpha, model.lora["merge"]) == (8, 16, False)
    assert model.hf_config._attn_implementation == "sdpa"


def test_full_fine_tuning_has_no_adapter() -> None:
    recipe = launched("rlpo", "adapter.method=full", "adapter.rank=8", "adapter.alpha=16")
    config = composed(overrides(recipe))
    validated(config)
    assert config.actor_rollout_ref.model.lora_rank == 0
    assert config.actor_rollout_ref.model.lora_adapter_path is None
