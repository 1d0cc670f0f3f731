"""What silently goes wrong on verl, shown on verl, and that a launch of ours does not come near it."""

from __future__ import annotations

import asyncio
import json
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from peft import IA3Config, LoraConfig, PeftModel, get_peft_model
from verl.experimental.reward_loop.reward_manager.dapo import DAPORewardManager
from verl.experimental.reward_loop.reward_manager.naive import NaiveRewardManager
from verl.trainer.ppo.reward import get_custom_reward_fn, resolve_reward_manager_cls
from verl.trainer.ppo.v1 import replay_buffer
from verl.trainer.ppo.v1.trainer_base import PPOTrainer
from verl.utils.config import omega_conf_to_dataclass
from verl.utils.fsdp_utils import collect_lora_params
from verl.workers.engine.fsdp.transformer_impl import FSDPEngine
from verl.workers.engine_workers import ActorRolloutRefWorker
from verl.workers.utils.losses import ppo_loss

from stiefel.adapter import export, lora_layers
from stiefel.errors import UserError
from stiefel.model import load_model
from stiefel.recipe import Recipe
from stiefel.verl.launching import checked, launch
from tests.verl.engines import log_probs, make_engine, model_config, rollout, update, verls_own
from tests.verl.recipes import composed, launched, overrides, settings


def built(module: Any, adapter: Path) -> Any:
    """What verl's own engine makes of a saved adapter."""
    config = model_config(None, external_lib=None, lora_rank=8, lora_adapter_path=str(adapter))
    return FSDPEngine._build_lora_module(SimpleNamespace(model_config=config), module)


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    """A PiSSA start as a launch makes it: anchored, of rank 2 · 4."""
    recipe = launched("nano-dapo", "adapter.method=pissa", "adapter.rank=4", "adapter.alpha=8", "adapter.dropout=0.05")
    launch(recipe, "…", tmp_path / "launch.sh", say=lambda line: None)
    return tmp_path / "adapter"


def test_v1_a_rank_of_0_leaves_the_adapter_out_in_silence_and_ours_is_the_directorys(adapter: Path) -> None:
    theirs = verls_own(adapter, lora_rank=0)  # as in verl's own example, which names no rank
    assert theirs.model_config.lora_adapter_path == str(adapter)
    assert not isinstance(theirs.module, PeftModel)
    assert all(parameter.requires_grad for parameter in theirs.module.parameters())
    written = json.loads((adapter / "adapter_config.json").read_text())
    recipe = launched("nano-dapo", "adapter.method=pissa", "adapter.rank=4", "adapter.alpha=8")
    asked = composed(overrides(recipe)).actor_rollout_ref.model
    assert (asked.lora_rank, asked.lora_alpha) == (written["r"], written["lora_alpha"]) == (8, 16)
    ours = verls_own(adapter, lora_rank=asked.lora_rank, lora_alpha=asked.lora_alpha)
    assert isinstance(ours.module, PeftModel)


def test_v2_a_start_that_is_saved_by_its_name_is_drawn_again_and_changes_the_base_and_ours_is_loaded(
    adapter: Path, tmp_path: Path
) -> None:
    base = log_probs(verls_own(None), rollout())
    theirs = get_peft_model(
        load_model("nano"),
        LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", init_lora_weights="pissa", task_type="CAUSAL_LM"),
    )
    theirs.save_pretrained(tmp_path / "theirs")  # factors of the residual base, which is not saved
    drawn = verls_own(tmp_path / "theirs")
    assert (log_probs(drawn, rollout(), base=True) - base).abs().max() > 0.05
    assert json.loads((adapter / "adapter_config.json").read_text())["init_lora_weights"] is True
    ours = verls_own(adapter)  # exact without the plug-in too
    assert torch.equal(log_probs(ours, rollout(), base=True), base)
    torch.testing.assert_close(log_probs(ours, rollout()), base, rtol=0, atol=1e-4)
    assert torch.equal(log_probs(make_engine(adapter), rollout()), base)


def test_v3_the_reference_of_a_residual_base_is_not_the_base_and_ours_is(adapter: Path, tmp_path: Path) -> None:
    base = log_probs(verls_own(None), rollout())
    export(adapter, "nano", "residual", tmp_path / "residual")
    place = tmp_path / "residual", str(tmp_path / "residual" / "base")
    trap = (log_probs(verls_own(*place), rollout(), base=True) - base).abs().max()
    assert trap > 0.1
    assert (log_probs(make_engine(*place), rollout(), base=True) - base).abs().max() < 1e-3 * trap
    assert torch.equal(log_probs(make_engine(adapter), rollout(), base=True), base)


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


def moved(adapter: Path, recipe: Recipe, *changes: str) -> float:
    """How far one update by verl's engine moves the factors; the actor's settings as verl's worker hands them on."""
    optim = ["lr=1e-3", "weight_decay=0", "total_training_steps=4", "+override_optimizer_config={eps: 1.0}"]
    words = [f"{'+' * one.startswith('+')}actor_rollout_ref.actor.optim.{one.lstrip('+')}" for one in optim]
    actor = omega_conf_to_dataclass(composed([*overrides(recipe), *words, *changes]).actor_rollout_ref.actor)
    engine = verls_own(adapter, optim=actor.optim)
    before = {name: tensor.clone() for name, tensor in engine.get_per_tensor_param(base_sync_done=True)[0]}
    torch.manual_seed(0)  # of the dropout
    with engine.train_mode():
        engine.train_batch(rollout(), partial(ppo_loss, config=actor))
    after = dict(engine.get_per_tensor_param(base_sync_done=True)[0])
    return sum(float((after[name] - tensor).square().sum()) for name, tensor in before.items()) ** 0.5


def test_v5_the_actors_own_bound_on_the_gradient_bounds_nothing_and_ours_is_the_optimizers(adapter: Path) -> None:
    """With Adam's ε = 1 a step is as long as its gradient."""
    recipe, tight = launched("nano-dapo", "optim.max_grad_norm=100"), "actor_rollout_ref.actor.grad_clip=1e-6"
    free = moved(adapter, recipe, "actor_rollout_ref.actor.grad_clip=100")
    assert moved(adapter, recipe, tight) == free > 0
    assert moved(adapter, recipe, tight.replace("actor.grad_clip", "actor.optim.clip_grad")) < 1e-4 * free
    assert moved(adapter, launched("nano-dapo", "optim.max_grad_norm=1e-6")) < 1e-4 * free


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


class Sends:
    """What carries weights to rollouts, on either way: it keeps what it is given."""

    def __init__(self) -> None:
        self.sent: dict[str, torch.Tensor] = {}

    async def send_weights(self, weights: Any, **how: Any) -> None:
        self.sent |= {name: tensor.clone() for name, tensor in weights}

    async def update_weights(self, weights: Any, **how: Any) -> None:
        await self.send_weights(weights)

    async def resume(self, tags: list[str]) -> None: ...


def sent(engine: Any, config: Any) -> dict[str, torch.Tensor]:
    """What verl's worker sends of its engine's model to the rollouts."""
    carrier = Sends()
    worker = SimpleNamespace(
        config=config,
        actor=SimpleNamespace(engine=engine),
        rollout=carrier,
        checkpoint_engine=carrier,
        peft_merge=config.model.lora.merge,
        layered_summon=config.rollout.layered_summon,
        base_sync_done="dummy" not in config.rollout.load_format,
    )
    asyncio.run(ActorRolloutRefWorker.update_weights(worker, global_steps=1))
    return carrier.sent


def test_v7_a_disaggregated_backend_is_sent_the_base_alone_and_ours_the_factors(adapter: Path) -> None:
    engine = verls_own(adapter)
    update(engine, rollout())
    ours = composed(overrides(launched("nano-dapo"))).actor_rollout_ref
    theirs = composed([*overrides(launched("nano-dapo")), "actor_rollout_ref.rollout.checkpoint_engine.backend=nccl"])
    apart = sent(engine, theirs.actor_rollout_ref)
    base = {name.replace(".base_layer", ""): tensor for name, tensor in apart.items()}
    plain = load_model("nano").state_dict()
    assert base
    assert all(torch.equal(tensor, plain[name]) for name, tensor in base.items())  # none of the update is in it
    factors = sent(engine, ours)
    assert {name.rpartition("lora_")[2] for name in factors} == {"A.weight", "B.weight"}
    assert len(factors) == 2 * len(list(lora_layers(engine.module)))


def test_v8_the_directorys_dropout_wins_over_verls_settings_and_is_the_recipes(adapter: Path) -> None:
    module = built(load_model("nano"), adapter)
    found = {name: part.p for name, part in module.named_modules() if name.endswith("lora_dropout.default")}
    assert found
    assert set(found.values()) == {0.05}  # as the recipe said; no setting of verl's names another


class Queue:
    """The queue between verl's trainer and its rollouts: groups of two that are graded the moment they are asked for.

    Of the first `dull` groups all answers are right, and one of the two is long, for which it pays.
    """

    def __init__(self, dull: int) -> None:
        self.dull, self.asked = dull, 0
        self.tags: dict[str, dict[str, Any]] = {}
        self.rows: dict[str, tuple[float, float]] = {}

    def ask(self, groups: int) -> None:
        for uid in (f"u{self.asked + one}" for one in range(groups)):
            self.tags[uid] = {"is_prompt": True, "global_steps": 1, "status": "finished"}
            for one in range(2):
                right = 1.0 if one == 0 or int(uid[1:]) < self.dull else 0.0
                self.tags[f"{uid}_{one}_0"] = {}
                self.rows[f"{uid}_{one}_0"] = right, right - 0.5 * one
        self.asked += groups

    def kv_list(self) -> dict[str, Any]:
        return {"train": dict(self.tags)}

    def kv_clear(self, keys: list[str], partition_id: str) -> None:
        for key in keys:
            self.tags.pop(key, None)

    def kv_batch_get(self, keys: list[str], partition_id: str, select_fields: list[str]) -> dict[str, Any]:
        found = [self.rows[key] for key in keys]
        return {
            "extra_fields": [{"reward_extra_info": {"acc": right}} for right, _ in found],
            "rm_scores": [torch.tensor([0.0, reward]) for _, reward in found],
        }


def sampled(queue: Queue, config: Any, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The groups that verl's own buffer takes for a rollout of two, built as its trainer builds it."""
    monkeypatch.setattr(replay_buffer, "tq", queue)
    trainer = SimpleNamespace(config=config, trainer_mode="sync", _add_prompts_to_generate=queue.ask)
    trainer._resolve_filter_groups_metric = lambda: PPOTrainer._resolve_filter_groups_metric(trainer)
    buffer = PPOTrainer._build_replay_buffer(trainer)
    assert type(buffer) is replay_buffer.ReplayBuffer
    queue.ask(2)
    return {key.partition("_")[0] for key in buffer.sample(1, "train", 2)[0].keys}


def test_v10_shaped_rewards_hide_a_group_without_signal_and_ours_is_filtered_by_correctness(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    words = [*overrides(launched("rlpo", "algorithm.dynamic_sampling=true")), "data.train_batch_size=2"]
    metric = composed(["actor_rollout_ref.rollout.name=vllm"]).algorithm.filter_groups.metric
    theirs = composed([*words, f"algorithm.filter_groups.metric={metric}"])  # verl's default
    assert sampled(Queue(dull=2), theirs, monkeypatch) == {"u0", "u1"}
    ours = sampled(Queue(dull=2), composed(words), monkeypatch)
    assert len(ours) == 2
    assert not ours & {"u0", "u1"}


def test_v10_a_bound_on_batches_bounds_nothing_and_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    words = [*overrides(launched("rlpo", "algorithm.dynamic_sampling=true")), "data.train_batch_size=2"]
    queue = Queue(dull=20)  # ten batches
    sampled(queue, composed([*words, "algorithm.filter_groups.max_num_gen_batches=3"]), monkeypatch)
    assert queue.asked > 20
    with pytest.raises(UserError, match=r"algorithm\.max_gen_batches = 3 for verl"):
        checked(launched("rlpo", "algorithm.dynamic_sampling=true", "algorithm.max_gen_batches=3"))
