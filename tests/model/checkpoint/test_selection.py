"""The targets of a skeleton are those that PEFT adapts on the real model; what it would get wrong is refused."""

from __future__ import annotations

import copy
import inspect
from importlib import import_module

import pytest
import torch
from peft import LoraConfig, get_peft_model
from peft.tuners.lora import LoraLayer
from torch import nn
from transformers import (
    AutoModelForCausalLM,
    FalconConfig,
    JambaConfig,
    Llama4TextConfig,
    MambaConfig,
    Qwen2MoeConfig,
    Qwen3MoeConfig,
)

from benchmarks.families import ENCODED, FAMILIES
from stiefel import UserError, attach
from stiefel.adapter.streamed import prepare
from stiefel.model.linear_layers import UNCALLED
from stiefel.model.skeleton import build_skeleton
from stiefel.model.targets import select_targets
from stiefel.model.unsupported import linear_names

from .conftest import CONFIGS, DENSE, EXPERTS, SIZES, TARGETS, TOKENS

pytestmark = pytest.mark.filterwarnings("ignore:fan_in_fan_out is set to False but the target module is `Conv1D`")


def on_meta(config):
    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(config)


def by_peft(model, target_modules):
    config = LoraConfig(r=1, target_modules=target_modules, task_type="CAUSAL_LM")
    adapted = get_peft_model(copy.deepcopy(model), config)
    chosen = config.target_modules
    layers = [
        (name, (layer.lora_B["default"].weight.shape[0], layer.lora_A["default"].weight.shape[1]))
        for name, layer in adapted.get_base_model().named_modules()
        if isinstance(layer, LoraLayer)
    ]
    return layers, chosen if isinstance(chosen, str) else sorted(chosen), config.fan_in_fan_out


def check(skeleton, model, target_modules):
    layers, chosen, fan_in_fan_out = by_peft(model, target_modules)
    for each in (skeleton, model):
        selection = select_targets(each, target_modules)
        assert [(target.name, target.shape) for target in selection.targets] == layers
        assert selection.config_targets == chosen
        assert selection.fan_in_fan_out == fan_in_fan_out
    return selection


@pytest.mark.parametrize("family", CONFIGS)
def test_all_that_is_linear(family, tiny, saved):
    model = tiny(family)
    selection = check(build_skeleton(saved(family)), model, TARGETS.get(family, "all-linear"))
    if family not in TARGETS:
        head = model.get_output_embeddings()
        linear = [
            name
            for name, module in model.named_modules()
            if type(module).__name__ in ("Linear", "Conv1D") and module is not head
        ]
        assert [target.name for target in selection.targets] == linear
    for target in selection.targets:
        shape = tuple(model.get_parameter(target.parameter).shape)
        assert target.shape == (shape[::-1] if target.conv1d else shape)
        assert target.conv1d == (family == "gpt2")


@pytest.mark.parametrize(
    "request_", [["down_proj", "q_proj"], ["model.layers.1.mlp.up_proj"], r".*\.layers\.0\..*_proj", ["lm_head"]]
)
def test_names_and_expressions(request_, tiny):
    check(on_meta(CONFIGS["llama"]), tiny("llama"), request_)


def test_enough_names_that_peft_shortens_them(tiny):
    """PEFT condenses twenty names or more; "all-linear" of a real model is such a case."""
    config = copy.deepcopy(CONFIGS["llama"])
    config.num_hidden_layers = 4
    selection = check(on_meta(config), AutoModelForCausalLM.from_config(config), "all-linear")
    assert len(selection.targets) == 28
    assert selection.config_targets == sorted(
        ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    )


def test_a_linear_router_is_one_of_all_linear():
    """As in PEFT: Qwen2-MoE's gate of its shared expert is an ordinary linear layer; its stacked experts are not."""
    config = Qwen2MoeConfig(**SIZES, num_experts=4, moe_intermediate_size=24, shared_expert_intermediate_size=24)
    names = {target.name for target in select_targets(on_meta(config), "all-linear").targets}
    assert "model.layers.0.mlp.shared_expert_gate" in names
    assert not any("experts" in name for name in names)


@pytest.mark.parametrize(("family", "words"), [("granite-moe", "experts.gate_up_proj"), ("llama", "")])
def test_what_no_linear_layer_holds_is_said(family, words, tiny, saved, tmp_path):
    """PEFT passes over stacked experts without a word; an output head and an embedding are not meant by the word."""
    model = tiny(family)
    found = select_targets(model, "all-linear").left_out
    assert bool(found) == bool(words)
    assert words in found
    assert select_targets(model, ["q_proj"]).left_out == ""  # who names layers knows which
    if not words:
        return
    experts = sum(p.numel() for name, p in model.named_parameters() if "experts." in name or "router" in name)
    assert f"{experts / sum(p.numel() for p in model.parameters()):.0%}" in found
    with pytest.warns(UserWarning, match=r"leaves out 6 bare parameters .*experts\.gate_up_proj"):
        attach(copy.deepcopy(model), "lora", r=1, alpha=2)
    said = []
    prepare(str(saved(family)), "lora", tmp_path / "made", r=1, alpha=2, notice=said.append)
    assert said == [found]


MAMBA = MambaConfig(**TOKENS, hidden_size=32, state_size=4, num_hidden_layers=1)
JAMBA = JambaConfig(**SIZES, num_experts=1, attn_layer_period=2, attn_layer_offset=1, mamba_d_state=4, mamba_dt_rank=4)


def test_a_layer_that_the_model_does_not_call_is_left_out_and_said():
    """PEFT adapts Jamba's dt_proj, whose weight the mixer reads: no gradient would reach the adapter."""
    model = AutoModelForCausalLM.from_config(JAMBA)
    with pytest.warns(UserWarning, match=r"leaves out 1 layers, the first is model\.layers\.0\.mamba\.dt_proj"):
        adapted = attach(copy.deepcopy(model), "pissa", r=2, alpha=4, cache=False)
    names = {target.name for target in select_targets(model, "all-linear").targets}
    assert "model.layers.0.mamba.out_proj" in names
    ids = torch.arange(20).view(2, 10)

    def reached(adapted):
        adapted(input_ids=ids, labels=ids).loss.backward()
        return {name for name, p in adapted.named_parameters() if p.requires_grad and p.grad is not None}

    assert len(reached(adapted)) == 2 * len(names)
    config = LoraConfig(r=2, target_modules="all-linear", init_lora_weights=False, task_type="CAUSAL_LM")
    plain = get_peft_model(model, config)
    trained = {name for name, p in plain.named_parameters() if p.requires_grad}
    assert {name.split(".")[-4] for name in trained - reached(plain)} == {"dt_proj"}


@pytest.mark.parametrize("owner", UNCALLED)
def test_its_weight_is_read_in_the_models_own_code(owner):
    modules = {
        "MambaMixer": "mamba",
        "FalconMambaMixer": "falcon_mamba",
        "JambaMambaMixer": "jamba",
        "Mamba2Mixer": "mamba2",
        "BambaMixer": "bamba",
        "FalconH1Mixer": "falcon_h1",
        "GraniteMoeHybridMambaLayer": "granitemoehybrid",
        "NemotronHMamba2Mixer": "nemotron_h",
        "Zamba2MambaMixer": "zamba2",
        "LongcatFlashTopkRouter": "longcat_flash",
    }
    module = import_module(f"transformers.models.{modules[owner]}.modeling_{modules[owner]}")
    source = inspect.getsource(inspect.unwrap(getattr(module, owner).forward))
    assert [word for word in UNCALLED[owner] if f"self.{word}.weight" not in source] == []


@pytest.mark.parametrize(("request_", "first"), [(["in_proj", "x_proj"], "x_proj"), (r".*\.dt_proj", "dt_proj")])
def test_a_layer_that_the_model_does_not_call_is_refused_by_name(request_, first):
    with pytest.raises(UserError, match=f"mixer.{first} is not called: MambaMixer") as error:
        select_targets(on_meta(MAMBA), request_)
    assert error.value.instead.endswith("are in_proj")


def test_a_name_that_stacked_experts_have_too_is_told_with_the_word_before_it():
    """Or the advice would be refused in its turn."""
    config = Llama4TextConfig(**SIZES, head_dim=16, intermediate_size_mlp=48, num_local_experts=2)
    skeleton = on_meta(config)
    with pytest.raises(UserError, match="Llama4Router") as error:
        select_targets(skeleton, "all-linear")
    names = linear_names(skeleton)
    assert ", ".join(names) in error.value.instead
    assert "shared_expert.down_proj" in names
    assert len(select_targets(skeleton, names).targets) == 2 * len(names)


@pytest.mark.parametrize("family", sorted(FAMILIES.keys() - ENCODED.keys()))
def test_the_names_that_an_error_tells_are_taken(family):
    """All together, as the error lists them, and each alone, as "did you mean" does; the adapter stands on each."""
    skeleton = FAMILIES[family].on_meta(family)
    names = linear_names(skeleton)
    found = {target.name for target in select_targets(skeleton, names).targets}
    assert {"q_proj", "c_attn", "query_key_value", "qkv_proj", "in_proj", "q_a_proj"} & set(names)
    assert found == {target.name for name in names for target in select_targets(skeleton, [name]).targets}


@pytest.mark.parametrize(
    ("family", "request_"),
    [("glm4_moe", ["mlp.down_proj"]), ("glm4_moe", ["down_proj"]), ("qwen3_next", ["shared_expert.down_proj"])],
    ids=str,
)
def test_what_peft_makes_experts_of_is_refused_with_names_that_it_keeps(family, request_):
    skeleton = FAMILIES[family].on_meta(family)
    with pytest.raises(UserError) as error:
        select_targets(skeleton, request_)
    names = error.value.instead.partition(": ")[2].split(", ")
    assert "q_proj" in names
    assert select_targets(skeleton, names).targets


def test_weights_that_train_by_themselves_need_no_call():
    """A mask trains entries of the weight that the mixer reads."""
    model = AutoModelForCausalLM.from_config(JAMBA)
    sparse = attach(model, "sparse", r=2, target_modules=["dt_proj"])
    ids = torch.arange(20).view(2, 10)
    sparse(input_ids=ids, labels=ids).loss.backward()
    trained = {name for name, p in sparse.named_parameters() if p.grad is not None and p.grad.any()}
    assert {name.split(".")[-2] for name in trained} == {"dt_proj"}
    assert not select_targets(on_meta(JAMBA), "all-linear", called=False).left_out.count("dt_proj")


def test_a_subclass_with_the_same_function_is_a_linear_layer():
    config = FalconConfig(**TOKENS, hidden_size=32, num_hidden_layers=1, num_attention_heads=2)
    model = AutoModelForCausalLM.from_config(config)
    assert len(check(on_meta(config), model, "all-linear").targets) == 4


REFUSED = {  # family, request, a word of the message
    "nothing": ("llama", [], "no layer"),
    "no word": ("llama", "", "no layer"),
    "an expression that matches nothing": ("llama", r".*\.c_attn", "select no layer"),
    "a name that is an expression": ("llama", "q_proj", "list of names"),
    "a broken expression": ("llama", "(", "regular expression"),
    "unknown beside known": ("llama", ["q_proj", "q_prj"], "'q_prj'"),
    "embedding": ("llama", ["q_proj", "embed_tokens"], "model.embed_tokens is a Embedding"),
    "norm": ("llama", ["input_layernorm"], "LlamaRMSNorm"),
    "a block": ("llama", r"model\.layers\.0", "LlamaDecoderLayer"),
    "tied head": ("qwen3-tied", ["q_proj", "lm_head"], "lm_head shares its weight with the input embedding"),
    "tied head of GPT-2": ("gpt2", ["lm_head"], "shares its weight"),
    "experts by PEFT": ("qwen3-moe", "all-linear", "model.layers.0.mlp.experts.down_proj"),
    "experts and router by PEFT": ("mixtral", "all-linear", "gate.weight"),
    "experts by name": (
        "granite-moe",
        ["q_proj", "gate_up_proj"],
        "model.layers.0.block_sparse_moe.experts.gate_up_proj",
    ),
    "experts by expression": ("granite-moe", r".*\.(q_proj|down_proj)", "block_sparse_moe.experts.down_proj"),
    "experts' old names": ("qwen3-moe", ["q_proj", "gate_proj", "up_proj"], "'gate_proj'"),
    "a router that is no linear layer": ("mixtral", ["gate"], "model.layers.0.mlp.gate is a MixtralTopKRouter"),
    "a router that gives a tuple": ("phimoe", "all-linear", "model.layers.0.mlp.router is a PhimoeTopKRouter"),
    "one layer, which PEFT widens to all": ("qwen3-moe", r".*layers\.0\..*q_proj", "PEFT adds 1 layers"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case, tiny):
    family, request_, word = REFUSED[case]
    for model in (on_meta(CONFIGS[family]), tiny(family)):
        with pytest.raises(UserError) as error:
            select_targets(model, request_)
        assert word in str(error.value)
        if family in EXPERTS and case != "one layer, which PEFT widens to all" and "old names" not in case:
            assert "k_proj, o_proj, q_proj, v_proj" in error.value.instead


def test_dense_layers_that_peft_takes_for_experts_are_not_lost():
    """PEFT turns "gate_proj" into the experts' parameter even where the layer has no experts."""
    skeleton = on_meta(Qwen3MoeConfig(**SIZES, head_dim=16, num_experts=4, mlp_only_layers=[0, 1]))
    with pytest.raises(UserError, match=r"PEFT leaves out 6 layers, the first is model.layers.0.mlp.down_proj") as e:
        select_targets(skeleton, "all-linear")
    assert "keeps: k_proj, o_proj, q_proj, v_proj" in e.value.instead


def test_a_weight_shared_by_two_layers(tiny):
    model = copy.deepcopy(tiny("llama"))
    first, second = model.model.layers[0].self_attn, model.model.layers[1].self_attn
    second.q_proj.weight = first.q_proj.weight
    with pytest.raises(UserError, match=r"layers.0.self_attn.q_proj shares its weight with model.layers.1"):
        select_targets(model, "all-linear")


def test_a_module_that_is_not_of_transformers():
    with pytest.raises(UserError, match="Sequential is not a transformers model"):
        select_targets(nn.Sequential(nn.Linear(2, 2)), "all-linear")


def snapshot(model):
    return (
        [(name, id(module), module.training) for name, module in model.named_modules()],
        [(name, id(p), p.requires_grad, p.device) for name, p in model.named_parameters()],
        set(vars(model)),
    )


@pytest.mark.parametrize("request_", ["all-linear", ["q_proj", "act_fn"], ["mlp"], ["nothing"]])
@pytest.mark.parametrize("family", ["llama", "qwen3-moe"])
def test_the_model_and_the_random_state_stay_as_they_were(family, request_, tiny):
    model = copy.deepcopy(tiny(family))
    model.model.layers[1].self_attn.q_proj.weight.requires_grad_(False)
    before, state = snapshot(model), torch.get_rng_state()
    try:
        select_targets(model, request_)
    except UserError:
        assert request_ != "all-linear" or family in EXPERTS
    assert snapshot(model) == before
    assert torch.equal(torch.get_rng_state(), state)


def test_a_model_that_carries_an_adapter(tiny):
    adapted = get_peft_model(copy.deepcopy(tiny("llama")), LoraConfig(r=1, target_modules=["q_proj"]))
    with pytest.raises(UserError, match="already carries an adapter"):
        select_targets(adapted.get_base_model(), ["v_proj"])


@pytest.mark.parametrize("family", DENSE)
def test_a_skeleton_has_no_weights_and_the_models_ties(family, tiny, saved):
    skeleton, model = build_skeleton(saved(family)), tiny(family)
    assert {tensor.device.type for tensor in [*skeleton.parameters(), *skeleton.buffers()]} == {"meta"}
    assert [name for name, _ in skeleton.named_parameters()] == [name for name, _ in model.named_parameters()]


BROKEN = {
    "no object": "null",
    "no type": "{}",
    "unknown type": '{"model_type": "no-such-model"}',
    "no language model": '{"model_type": "vit"}',
    "a word for a number": '{"model_type": "llama", "hidden_size": "wide"}',
    "a negative size": '{"model_type": "llama", "hidden_size": -32}',
    "no heads": '{"model_type": "llama", "num_attention_heads": 0}',
    "an unknown activation": '{"model_type": "llama", "hidden_act": "loud"}',
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_config_that_describes_no_model(case, tmp_path):
    (tmp_path / "config.json").write_text(BROKEN[case])
    with pytest.raises(UserError, match="not a causal language model"):
        build_skeleton(tmp_path)


def test_a_config_that_is_not_json(tmp_path):
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(UserError, match=r"config\.json is not JSON"):
        build_skeleton(tmp_path)


def test_a_model_that_brings_its_own_code(tmp_path):
    """The message does not pass on transformers' advice to trust it."""
    config = '{"model_type": "x", "auto_map": {"AutoConfig": "c.C", "AutoModelForCausalLM": "m.M"}}'
    (tmp_path / "config.json").write_text(config)
    with pytest.raises(UserError, match=r"(?s)'x'.*never run") as error:
        build_skeleton(tmp_path)
    assert "trust_remote_code" not in str(error.value)


@pytest.mark.parametrize(
    ("request_", "shown"), [("all-linear", "'all-linear'"), (["x_proj", "out_proj"], r"\['out_proj', ")]
)
def test_a_refusal_by_peft_shows_the_request(request_, shown, monkeypatch):
    """And not the set of names that PEFT makes of it, in another order in every process."""
    monkeypatch.setattr("stiefel.model.linear_layers.UNCALLED", {})
    with pytest.raises(UserError, match=f"targets {shown}.*do not fit") as error:
        select_targets(on_meta(MAMBA), request_)
    assert error.value.instead.endswith("are dt_proj, in_proj, out_proj, x_proj")


def test_a_directory_without_a_config(tmp_path):
    with pytest.raises(UserError, match="not a causal language model"):
        build_skeleton(tmp_path)
