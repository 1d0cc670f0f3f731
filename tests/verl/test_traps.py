"""What silently goes wrong on verl, shown on verl, and that a launch of ours does not come near it."""

from __future__ import annotations

import inspect
import json
import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from peft import IA3Config, LoraConfig, PeftModel, get_peft_model
from verl.experimental.reward_loop.reward_manager.dapo import DAPORewardManager
from verl.experimental.reward_loop.reward_manager.naive import NaiveRewardManager
from verl.trainer.ppo.reward import get_custom_reward_fn, resolve_reward_manager_cls
from verl.trainer.ppo.v1.replay_buffer import ReplayBuffer
from verl.utils.config import omega_conf_to_dataclass
from verl.utils.fsdp_utils import collect_lora_params
from verl.workers.engine.fsdp import transformer_impl
from verl.workers.engine_workers import ActorRolloutRefWorker

from stiefel.errors import UserError
from stiefel.model import load_model
from stiefel.verl.launching import checked, launch
from tests.verl.engines import model_config
from tests.verl.recipes import composed, launched, overrides, settings

ENGINE = transformer_impl.FSDPEngine


def built(module: Any, adapter: Path) -> Any:
    """What verl's own engine makes of a saved adapter."""
    config = model_config(None, external_lib=None, lora_rank=8, lora_adapter_path=str(adapter))
    return ENGINE._build_lora_module(SimpleNamespace(model_config=config), module)


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    """A PiSSA start as a launch makes it: anchored, of rank 2 · 4."""
    recipe = launched("nano-dapo", "adapter.method=pissa", "adapter.rank=4", "adapter.alpha=8", "adapter.dropout=0.05")
    launch(recipe, "…", tmp_path / "launch.sh", say=lambda line: None)
    return tmp_path / "adapter"


def test_v1_a_rank_of_0_leaves_the_adapter_out_in_silence_and_ours_is_the_directorys(adapter: Path) -> None:
    config = model_config(adapter, external_lib=None, lora_rank=0)
    assert config.lora_adapter_path == str(adapter)  # as in verl's own example, which names no rank
    assert "self._is_lora = self.model_config.lora_rank > 0" in inspect.getsource(ENGINE.__init__)
    assert "if self._is_lora:" in inspect.getsource(ENGINE._build_model_optimizer)  # without which it is not loaded
    written = json.loads((adapter / "adapter_config.json").read_text())
    recipe = launched("nano-dapo", "adapter.method=pissa", "adapter.rank=4", "adapter.alpha=8")
    asked = composed(overrides(recipe)).actor_rollout_ref.model
    assert (asked.lora_rank, asked.lora_alpha) == (written["r"], written["lora_alpha"]) == (8, 16)


def test_v2_a_start_that_is_saved_by_its_name_is_drawn_again_and_ours_is_loaded(adapter: Path, tmp_path: Path) -> None:
    ids = torch.arange(3, 13)[None]
    plain = load_model("nano").eval()
    base = plain(ids).logits.detach()
    theirs = get_peft_model(
        load_model("nano"), LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", init_lora_weights="pissa")
    )
    theirs.save_pretrained(tmp_path / "theirs")  # factors of the residual base, which is not saved
    drawn = built(load_model("nano"), tmp_path / "theirs").eval()(ids).logits
    assert (drawn - base).abs().max() > 1e-3 or not torch.equal(drawn, base)
    ours = built(load_model("nano"), adapter).eval()(ids).logits
    torch.testing.assert_close(ours, base, rtol=0, atol=1e-4)
    assert json.loads((adapter / "adapter_config.json").read_text())["init_lora_weights"] is True


def test_v4_the_old_names_compose_and_are_ignored_and_ours_are_read() -> None:
    old = composed(
        [
            *("actor_rollout_ref.rollout.name=vllm", "reward_model.reward_manager=dapo"),
            *("custom_reward_function.path=pkg://stiefel.verl.reward", "custom_reward_function.name=compute_score"),
        ]
    )
    assert resolve_reward_manager_cls(old) is NaiveRewardManager
    assert get_custom_reward_fn(old) is None
    ours = composed(overrides(launched("rlpo")))
    assert resolve_reward_manager_cls(ours) is DAPORewardManager
    assert get_custom_reward_fn(ours).args[0].__module__ == "stiefel.verl.reward"
    assert not {key for key in settings(launched("rlpo")) if key.startswith(("reward_model.", "custom_reward"))}


def test_v5_the_actors_own_bound_on_the_gradient_is_read_by_nobody_and_ours_is_the_optimizers() -> None:
    theirs = composed([*overrides(launched("rlpo")), "actor_rollout_ref.actor.grad_clip=0.01"])
    assert omega_conf_to_dataclass(theirs.actor_rollout_ref.actor).optim.clip_grad == 1.0
    assert "grad_clip" not in inspect.getsource(transformer_impl)
    ours = composed(overrides(launched("rlpo", "optim.max_grad_norm=0.25")))
    assert omega_conf_to_dataclass(ours.actor_rollout_ref.actor).optim.clip_grad == 0.25


def test_v6_another_adapters_weights_are_not_what_rollouts_are_sent_and_are_refused(tmp_path: Path) -> None:
    model = get_peft_model(
        load_model("nano"),
        IA3Config(target_modules=["q_proj", "down_proj"], feedforward_modules=["down_proj"], task_type="CAUSAL_LM"),
    )
    model.save_pretrained(tmp_path / "ia3")
    module = built(load_model("nano"), tmp_path / "ia3")  # verl loads it as if it were a LoRA
    assert isinstance(module, PeftModel)
    assert {name for name, one in module.named_parameters() if one.requires_grad and "ia3" not in name} == set()
    sent = collect_lora_params(module, layered_summon=False, base_sync_done=True)
    assert not [name for name in sent if "lora_A" in name or "lora_B" in name]  # all that vLLM reads of an adapter
    with pytest.raises(UserError, match="ia3 cannot be trained on verl"):
        checked(launched("nano-dapo", "adapter.method=ia3"))


def test_v7_a_disaggregated_backend_is_sent_the_base_alone_and_ours_shares_the_gpus() -> None:
    source = inspect.getsource(ActorRolloutRefWorker.update_weights)
    apart = source.partition('if effective_mode != "naive":')[2].partition("return metrics or {}\n\n")[0]
    assert "get_per_tensor_param()" in apart  # without base_sync_done: of a LoRA it is the base that is collected
    assert "base_sync_done" not in apart
    config = composed(overrides(launched("rlpo")))
    assert config.actor_rollout_ref.model.lora.merge is False
    assert config.actor_rollout_ref.rollout.checkpoint_engine.backend == "naive"
    assert config.trainer.v1.trainer_mode == "sync"


def test_v8_the_directorys_dropout_wins_over_verls_settings_and_is_the_recipes(adapter: Path) -> None:
    module = built(load_model("nano"), adapter)
    found = {name: part.p for name, part in module.named_modules() if name.endswith("lora_dropout.default")}
    assert found
    assert set(found.values()) == {0.05}  # as the recipe said; no setting of verl's names another


def test_v10_a_bound_on_batches_is_ignored_and_groups_are_filtered_by_correctness(
    caplog: pytest.LogCaptureFixture,
) -> None:
    from verl.trainer.ppo.v1.trainer_base import PPOTrainer

    recipe = launched("rlpo", "algorithm.dynamic_sampling=true")
    config = composed([*overrides(recipe), "algorithm.filter_groups.max_num_gen_batches=3"])
    with caplog.at_level(logging.WARNING):
        metric = PPOTrainer._resolve_filter_groups_metric(SimpleNamespace(config=config))
    assert "max_num_gen_batches=3 is ignored" in caplog.text
    assert metric == "acc"
    assert composed(["actor_rollout_ref.rollout.name=vllm"]).algorithm.filter_groups.metric == "reward"
    assert "filter_groups_metric" in inspect.signature(ReplayBuffer.__init__).parameters
    with pytest.raises(UserError, match=r"algorithm\.max_gen_batches = 3 for verl"):
        checked(launched("rlpo", "algorithm.dynamic_sampling=true", "algorithm.max_gen_batches=3"))
