"""The policy as merged weights is the exact merge rounded once, and making them leaves the base alone."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from peft import (
    AdaLoraConfig,
    IA3Config,
    LNTuningConfig,
    LoraConfig,
    MissConfig,
    PromptTuningConfig,
    VeraConfig,
    get_peft_model,
)
from torch import Tensor, nn
from transformers import GPT2Config, GPT2LMHeadModel

from stiefel import GRPOTrainer, UserError, attach
from stiefel.engine.weights import policy_weights
from stiefel.methods import compose
from stiefel.recipe.recipe import make_recipe
from stiefel.training.settings import grpo_config

from ..contract.conftest import NAMES, STARTED, attach_any
from .bridge import Bridge, Engine, bits, moved

TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
PLAIN = {"task_type": "CAUSAL_LM", "target_modules": TARGETS}
NATIVE = {
    "rslora": LoraConfig(r=4, use_rslora=True, **PLAIN),
    "dora": LoraConfig(r=4, use_dora=True, **PLAIN),
    "lora+head": LoraConfig(r=4, modules_to_save=["lm_head"], **PLAIN),
    "adalora": AdaLoraConfig(init_r=4, target_r=2, total_step=10, **PLAIN),
    "miss": MissConfig(r=4, **PLAIN),
    "vera": VeraConfig(r=4, d_initial=0.1, **PLAIN),
    "ia3": IA3Config(feedforward_modules=["down_proj"], **PLAIN),
    "ln_tuning": LNTuningConfig(
        task_type="CAUSAL_LM", target_modules=["norm", "input_layernorm", "post_attention_layernorm", "q_norm"]
    ),
}
HALF_ULP = {torch.float32: 2.0**-24, torch.bfloat16: 2.0**-8}  # largest relative error of one rounding


def gpt2() -> GPT2LMHeadModel:
    """Conv1D layers, (in, out), and a head that is tied to the embedding."""
    torch.manual_seed(0)
    sizes = {"vocab_size": 29, "n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": 64, "initializer_range": 0.2}
    return GPT2LMHeadModel(GPT2Config(**sizes, bos_token_id=1, eos_token_id=2)).eval()


def rounding_bound(model: nn.Module, direction: Tensor, relative: float) -> float:
    """What errors |δ| ≤ `relative` of every weight do to f = ⟨direction, logits⟩: 6·relative·‖(∂f/∂W) ∘ W‖₂.

    |Σ (∂f/∂W)·W·δ| is below that, to first order and with independent δ, but for a probability of 2·exp(−18)
    (Hoeffding).
    """
    weights = [parameter.requires_grad_() for parameter in model.parameters()]
    f = (direction * model(input_ids=torch.arange(20).view(2, 10)).logits).sum()
    squares = [(g * w.detach()).norm() ** 2 for g, w in zip(torch.autograd.grad(f, weights), weights, strict=True)]
    return 6 * relative * float(sum(squares)) ** 0.5


def exact_merge(model: nn.Module) -> dict[str, Tensor]:
    """PEFT's own merge of a copy in float64."""
    return dict(copy.deepcopy(model).double().merge_and_unload().named_parameters())


def check_emission(model: Any, plain: nn.Module) -> None:
    """Names, shapes and types are the base's; each number is the exact one, rounded."""
    before, expected = bits(model), exact_merge(model)
    emitted = list(policy_weights(model))
    names = [
        name for name, _ in plain.named_parameters()
    ]  # tied weights once, under the first name, as vLLM loads them
    assert [name for name, _ in emitted] == names
    for name, tensor in emitted:
        original, exact = plain.get_parameter(name), expected[name]
        assert (tensor.shape, tensor.dtype) == (original.shape, original.dtype)
        # the sum in float32: up to 48 products and 8 more roundings, then one rounding to the weight's type
        allowed = 2.0**-24 * (48 + 8) * exact.abs().max() + HALF_ULP[tensor.dtype] * exact.abs()
        assert ((tensor.double() - exact).abs() <= allowed).all(), name
    after = bits(model)
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())


@pytest.mark.parametrize("dtype", HALF_ULP, ids=str)
def test_every_start_is_emitted_as_the_exact_merge_rounded_once(dtype, method, make_model):
    model = moved(attach(make_model(dtype), method.name, r=4, alpha=8))
    check_emission(model, make_model(dtype))


@pytest.mark.filterwarnings("ignore:Unsupported layer type")  # PEFT's word for the norms that LN tuning is for
@pytest.mark.parametrize("dtype", HALF_ULP, ids=str)
@pytest.mark.parametrize("name", NATIVE)
def test_every_kind_of_peft_adapter_is_emitted_as_the_exact_merge_rounded_once(name, dtype, make_model):
    check_emission(moved(get_peft_model(make_model(dtype), NATIVE[name])), make_model(dtype))


@pytest.mark.parametrize("dtype", HALF_ULP, ids=str)
@pytest.mark.parametrize("changed", [name for name in NAMES if name not in STARTED])
def test_every_other_method_and_composition_of_ours_is_emitted_so_too(dtype, changed, make_model):
    model = moved(attach_any(make_model(dtype), changed))
    if compose(changed).is_peft:
        check_emission(model, make_model(dtype))
    else:
        emitted = dict(policy_weights(model))
        assert all(torch.equal(emitted[name], parameter) for name, parameter in model.named_parameters())


@pytest.mark.parametrize("start", ["rlpo", "pissa"])
def test_conv1d_layers_and_a_tied_head(start):
    check_emission(moved(attach(gpt2(), start, r=4, alpha=8)), gpt2())


@pytest.mark.parametrize("start", ["lora", "pissa"])
@pytest.mark.parametrize("dtype", HALF_ULP, ids=str)
def test_an_engine_that_was_given_the_weights_has_the_policys_logits(dtype, start, make_model, logits):
    model = moved(attach(make_model(dtype), start, r=4, alpha=8))
    engine = Engine(make_model(dtype))
    engine.load_weights(policy_weights(model))
    served, policy = logits(engine.model.double()), logits(copy.deepcopy(model).double())
    base = logits(make_model(dtype).double())
    # both run in float64: what differs is the weights, each by one rounding and by the sum's in float32
    direction = (policy - base).sign()
    allowed = rounding_bound(engine.model, direction, HALF_ULP[dtype] + 2.0**-24 * (48 + 8))
    assert abs((direction * (served - policy)).sum()) <= allowed
    assert (direction * (policy - base)).sum() > allowed  # so that an adapter left out would show


def test_the_names_are_those_that_trl_sends(make_model):
    model = moved(attach(make_model(), "lora", r=4, alpha=8))
    theirs = Engine(make_model())
    Bridge(model, theirs).sync_weights()
    assert [name for name, _ in policy_weights(model)] == theirs.received


def test_a_model_whose_weights_train_is_emitted_as_it_is(make_model):
    model = make_model()
    emitted = dict(policy_weights(model))
    assert emitted.keys() == dict(model.named_parameters()).keys()
    assert all(torch.equal(emitted[name], parameter) for name, parameter in model.named_parameters())


@pytest.mark.parametrize(
    "config",
    [
        LoraConfig(r=4, trainable_token_indices=[1, 2], **PLAIN),
        LoraConfig(r=4, alora_invocation_tokens=[1], **PLAIN),
        PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=4),
    ],
    ids=["trainable tokens", "alora", "prompt tuning"],
)
def test_what_cannot_be_merged_is_refused_by_name(config, make_model):
    model = get_peft_model(make_model(), config)
    before = bits(model)
    with pytest.raises(UserError, match="cannot be merged"):
        list(policy_weights(model))
    assert all(torch.equal(tensor, before[name]) for name, tensor in bits(model).items())


def test_the_vllm_engine_without_vllm_is_an_error_that_says_what_to_install(make_model, tmp_path):
    args = grpo_config(make_recipe({}), tmp_path)
    args.use_vllm = True
    with pytest.raises(UserError, match=r"stiefel\[vllm\]"):
        GRPOTrainer(attach(make_model(), "lora", r=4), lambda completions, **columns: [0.0] * len(completions), args)
