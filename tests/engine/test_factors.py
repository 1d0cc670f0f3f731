"""The policy as factors beside the base: exactly its change where an adapter has them, and refused elsewhere."""

from __future__ import annotations

import copy
import json
import warnings
from types import ModuleType
from typing import Any

import pytest
import torch
from peft import (
    AdaLoraConfig,
    IA3Config,
    LoraConfig,
    MissConfig,
    PeftModel,
    VeraConfig,
    get_peft_model,
)

from stiefel import UserError, attach
from stiefel.engine.factors import (
    largest_rank,
    policy_factors,
    require_factors,
    serves_factors,
    write_factors,
)
from stiefel.methods import compose

from ..contract.conftest import NAMES, attach_any
from .bridge import bits, moved

TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
PLAIN = {"task_type": "CAUSAL_LM", "target_modules": TARGETS}
MORE = {  # what is no plain LoRA: PEFT's settings
    "dora": LoraConfig(r=4, use_dora=True, **PLAIN),
    "whole head": LoraConfig(r=4, modules_to_save=["lm_head"], **PLAIN),
    "biases": LoraConfig(r=4, bias="all", **PLAIN),
    "head": LoraConfig(r=4, task_type="CAUSAL_LM", target_modules=["q_proj", "lm_head"]),
    "embedding": LoraConfig(r=4, task_type="CAUSAL_LM", target_modules=["q_proj", "embed_tokens"]),
    "aLoRA": LoraConfig(r=4, alora_invocation_tokens=[1], **PLAIN),
    "rows of the embedding": LoraConfig(r=4, trainable_token_indices=[1, 2], **PLAIN),
    "adalora": AdaLoraConfig(init_r=4, target_r=2, total_step=10, **PLAIN),
    "miss": MissConfig(r=4, **PLAIN),
    "vera": VeraConfig(r=4, d_initial=0.1, **PLAIN),
    "ia3": IA3Config(feedforward_modules=["down_proj"], **PLAIN),
}
TRL_TAKES = {"aLoRA", "rows of the embedding", "adalora"}  # and an engine would play another policy


@pytest.fixture(scope="session")
def trl_sync() -> ModuleType:
    """TRL's asynchronous trainer, which sends adapters too; importing it warns that it may change."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from trl.experimental.async_grpo import async_grpo_trainer
    return async_grpo_trainer


def exact_change(model: PeftModel, base: Any) -> dict[str, torch.Tensor]:
    """ΔW of every layer by PEFT's own merge of a copy in float64."""
    merged = dict(copy.deepcopy(model).double().merge_and_unload().named_parameters())
    return {name: merged[name] - weight.double() for name, weight in base.named_parameters()}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_of_every_start_they_are_the_change_and_the_model_is_left_alone(dtype, method, make_model):
    model, base = moved(attach(make_model(dtype), method.name, r=4, alpha=8)), make_model(dtype)
    before, expected = bits(model), exact_change(model, base)
    factors = list(policy_factors(model))
    assert {f"{layer.name}.weight" for layer in factors} == {name for name, change in expected.items() if change.any()}
    for layer in factors:
        exact = expected[f"{layer.name}.weight"]
        product = layer.B.double() @ layer.A.double()
        # s·B and A₀ + ΔA are rounded to float32, and the merge subtracts W again in float64
        assert torch.allclose(product, exact, rtol=0, atol=2.0**-22 * (layer.B.abs() @ layer.A.abs()).max().item())
    assert all(torch.equal(before[name], tensor) for name, tensor in bits(model).items())


@pytest.mark.parametrize("settings", [{"use_rslora": True}, {"rank_pattern": {"q_proj": 2}}], ids=str)
def test_pefts_scalings_and_ranks_are_in_them(settings, make_model, tmp_path):
    model = moved(get_peft_model(make_model(), LoraConfig(r=4, lora_alpha=8, **settings, **PLAIN)))
    expected = exact_change(model, make_model())
    layers = list(policy_factors(model))
    for layer in layers:
        exact = expected[f"{layer.name}.weight"]
        assert torch.allclose(layer.B.double() @ layer.A.double(), exact, rtol=1e-6, atol=1e-7)
    write_factors(layers, "base", tmp_path)
    loaded = PeftModel.from_pretrained(make_model(), str(tmp_path))
    again = exact_change(loaded, make_model())
    assert all(torch.allclose(again[name], change, rtol=1e-6, atol=1e-7) for name, change in expected.items())
    config = json.loads((tmp_path / "adapter_config.json").read_text())
    assert config["r"] == config["lora_alpha"] == 4  # scaling 1: whoever loads it rounds nothing more


@pytest.mark.parametrize("name", MORE)
def test_what_is_more_than_factors_is_refused_by_name_and_merged_by_itself(name, make_model):
    model = get_peft_model(make_model(), MORE[name])
    assert not serves_factors(model)
    with pytest.raises(UserError, match=r'rollout\.sync = "merged"'):
        require_factors(model)


@pytest.mark.parametrize("name", MORE)
def test_what_trl_refuses_to_sync_as_an_adapter_is_refused_here_too(name, make_model, trl_sync):
    model = get_peft_model(make_model(), MORE[name])
    if name in TRL_TAKES:
        trl_sync.validate_lora_for_vllm_sync(model)
    else:
        with pytest.raises(ValueError, match=r"Sync|sync"):
            trl_sync.validate_lora_for_vllm_sync(model)


@pytest.mark.parametrize("changed", NAMES)
def test_factors_are_the_default_wherever_the_method_is_a_lora(changed, make_model):
    composition = compose(changed)
    lora = composition.start is not None and not composition.has("dora")
    assert serves_factors(attach_any(make_model(), changed)) == lora


def test_several_active_adapters_are_refused(make_model):
    model = get_peft_model(make_model(), LoraConfig(r=4, **PLAIN))
    model.add_adapter("second", LoraConfig(r=4, **PLAIN))
    model.base_model.set_adapter(["default", "second"])
    with pytest.raises(UserError, match="default, second"):
        require_factors(model)


def test_an_anchored_adapter_takes_twice_its_rank(make_model):
    assert largest_rank(attach(make_model(), "pissa", r=4, alpha=8)) == 8
    assert largest_rank(attach(make_model(), "rlpo", r=4, alpha=8)) == 4


def test_the_engines_ranks_are_those_that_trl_knows(trl_sync):
    from stiefel.engine.servable import RANKS

    assert set(RANKS) == set(trl_sync.VLLM_LORA_RANKS) - {1}
