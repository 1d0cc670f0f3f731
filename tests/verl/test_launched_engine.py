"""A launch's own settings, through verl's typed settings and its registry, become the engines that are meant."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
import torch
from omegaconf import open_dict
from torch.distributed.fsdp import CPUOffloadPolicy
from verl.utils.config import omega_conf_to_dataclass
from verl.workers.engine import EngineRegistry
from verl.workers.engine.fsdp import transformer_impl

import stiefel
from stiefel.adapter import anchored_factors
from stiefel.verl.engine import StiefelEngine
from stiefel.verl.overrides import Place

from .engines import log_probs, nano, rollout, update
from .recipes import composed, launched, overrides

METHODS, DTYPES = ("lora", "pissa", "full"), ("float32", "bfloat16")
# what a CPU has no use for: the compiler takes minutes, and packed sequences need flash attention
PLAIN = [f"actor_rollout_ref.{role}.fsdp_config.use_torch_compile=False" for role in ("actor", "ref")]


class Engines(NamedTuple):
    """verl's two, as its worker makes them; with an adapter it asks the actor for both."""

    actor: Any
    ref: Any
    method: str
    dtype: torch.dtype


def engine(model: Any, config: Any) -> Any:
    """Of a role's settings, as verl's worker goes from them to its registry."""
    config.engine.micro_batch_size_per_gpu = config.engine.infer_micro_batch_size_per_gpu = 4
    config.engine.use_dynamic_bsz = config.engine.use_remove_padding = False
    made = EngineRegistry.new(
        model_type="language_model",
        backend=config.engine.strategy,
        model_config=model,
        engine_config=config.engine,
        optimizer_config=config.optim,
        checkpoint_config=config.checkpoint,
    )
    made.initialize()
    return made


def of_reference(roles: Any) -> Any:
    """The reference's settings under the names that verl's worker gives them first."""
    with open_dict(roles.ref):
        roles.ref.ppo_mini_batch_size = roles.actor.ppo_mini_batch_size
        for name in ("micro_batch_size", "micro_batch_size_per_gpu", "max_token_len_per_gpu"):
            roles.ref[f"ppo_{name}"] = roles.ref.pop(f"log_prob_{name}", None)
        roles.ref.use_dynamic_bsz = roles.ref.pop("log_prob_use_dynamic_bsz")
    return omega_conf_to_dataclass(roles.ref)


@pytest.fixture(scope="module")
def patch() -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as patch:
        yield patch


@pytest.fixture(scope="module", params=[(method, dtype) for method in METHODS for dtype in DTYPES], ids=str)
def engines(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, patch: pytest.MonkeyPatch
) -> Engines:
    method, dtype = request.param
    adapter = tmp_path_factory.mktemp("launched") / "adapter"
    changes = [f"adapter.method={method}", f"model.dtype={dtype}", f"model.compute={dtype}", "optim.lr=1e-5"]
    if method == "full":
        changes += ["optim.weight_decay=0"]
    else:
        stiefel.prepare("nano", method, adapter, r=8, alpha=16, dtype=dtype)
    recipe = launched("nano-dapo", "cluster.remove_padding=false", *changes)
    roles = composed([*overrides(recipe, Place("/tmp/run", nano(), str(adapter))), *PLAIN]).actor_rollout_ref
    model = omega_conf_to_dataclass(roles.model)
    # memory that is pinned for a GPU cannot be had without one
    patch.setattr(transformer_impl, "CPUOffloadPolicy", lambda pin_memory: CPUOffloadPolicy(pin_memory=False))
    actor = engine(model, omega_conf_to_dataclass(roles.actor))
    ref = engine(omega_conf_to_dataclass(roles.model), of_reference(roles)) if method == "full" else None
    return Engines(actor, ref, method, getattr(torch, dtype))


def test_it_is_ours(engines: Engines):
    """Of `full` too: verl's own would not be built beside a TRL that is newer than it knows."""
    assert type(engines.actor) is StiefelEngine
    assert len(anchored_factors(engines.actor.module)) == (56 if engines.method == "pissa" else 0)


def test_what_trains_is_float32_and_what_is_frozen_the_bases(engines: Engines):
    """AdamW's steps are below half a unit of bfloat16 weights, and would be lost in them."""
    trained = {p.dtype for p in engines.actor.module.parameters() if p.requires_grad}
    frozen = {p.dtype for p in engines.actor.module.parameters() if not p.requires_grad}
    assert trained == {torch.float32}
    assert frozen == (set() if engines.method == "full" else {engines.dtype})


def test_both_are_computed_in_the_recipes_type(engines: Engines):
    assert engines.actor._autocast_dtype == engines.dtype
    if engines.ref is not None:
        assert engines.ref._autocast_dtype == engines.dtype
        assert {p.dtype for p in engines.ref.module.parameters()} == {torch.float32}


def test_the_reference_is_the_start_bit_for_bit_and_an_update_leaves_it(engines: Engines):
    start = log_probs(engines.actor, rollout())

    def reference() -> torch.Tensor:
        if engines.ref is None:
            return log_probs(engines.actor, rollout(), base=True)
        return log_probs(engines.ref, rollout())

    assert torch.equal(reference(), start)
    before = [p.detach().clone() for p in engines.actor.module.parameters() if p.requires_grad]
    update(engines.actor, rollout())
    after = [p.detach() for p in engines.actor.module.parameters() if p.requires_grad]
    changed = sum(not torch.equal(one, other) for one, other in zip(before, after, strict=True))
    assert changed >= 28  # B of a LoRA moves alone at first
    assert torch.equal(reference(), start)
