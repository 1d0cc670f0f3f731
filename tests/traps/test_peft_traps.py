"""PEFT's traps: each is shown on PEFT first, so that we notice when it is mended, then shown not to be ours."""

from __future__ import annotations

import copy

import pytest
import torch
from peft import PeftModel, inject_adapter_in_model
from peft.tuners.lora import LoraLayer
from safetensors.torch import load_file
from torch import nn
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    Qwen2MoeConfig,
    Qwen2MoeForCausalLM,
    Qwen3MoeConfig,
    Qwen3MoeForCausalLM,
)

from stiefel import UserError, attach, load, save
from stiefel.adapter.attached import lora_layers

from .conftest import lora_config, peft_start, relative_change

MOVING = ["pissa", "olora"]  # PEFT's starts that overwrite the base
ANCHORED = ["pissa", "milora"]


@pytest.mark.parametrize("init", MOVING)
def test_p1_a_bfloat16_start_moves_the_policy(init, make_model, logits):
    model = make_model(torch.bfloat16)
    base = logits(model)
    assert relative_change(logits(peft_start(model, init)), base) > 1e-3, "upstream mended it"
    for name in ANCHORED:
        assert torch.equal(logits(attach(copy.deepcopy(model), name, r=4, alpha=8)), base)


@pytest.mark.parametrize("init", MOVING)
def test_p2_the_disabled_adapter_is_not_the_base(init, make_model, logits):
    model = make_model()
    base = logits(model)
    theirs = peft_start(model, init)
    with theirs.disable_adapter():
        assert relative_change(logits(theirs), base) > 0.05, "upstream mended it"
    for name in ANCHORED:
        ours = attach(copy.deepcopy(model), name, r=4, alpha=8)
        with ours.disable_adapter():
            assert torch.equal(logits(ours), base)


def test_p3_a_saved_fast_pissa_depends_on_the_random_state(make_model, logits, tmp_path):
    model = make_model()
    theirs = peft_start(model, "pissa_niter_1")
    theirs.save_pretrained(tmp_path / "theirs")
    torch.manual_seed(99)
    again = PeftModel.from_pretrained(make_model(), tmp_path / "theirs").eval()
    assert relative_change(logits(again), logits(theirs)) > 0.01, "upstream mended it"
    ours = attach(make_model(), "pissa", r=4, alpha=8)
    save(ours, tmp_path / "ours")
    torch.manual_seed(7)
    assert torch.equal(logits(PeftModel.from_pretrained(make_model(), tmp_path / "ours")), logits(ours))


@pytest.mark.parametrize("init", MOVING)
def test_p4_loading_in_low_memory_mode_fails(init, make_model, logits, take_steps, tmp_path):
    peft_start(make_model(), init).save_pretrained(tmp_path / "theirs")
    with pytest.raises(RuntimeError):
        PeftModel.from_pretrained(make_model(), tmp_path / "theirs", low_cpu_mem_usage=True)
    ours = attach(make_model(), "pissa", r=4, alpha=8)
    take_steps(ours)
    save(ours, tmp_path / "ours")
    loaded = PeftModel.from_pretrained(make_model(), tmp_path / "ours", low_cpu_mem_usage=True)
    assert torch.equal(logits(loaded), logits(ours))


@pytest.mark.parametrize("init", MOVING)
def test_p5_a_second_adapter_changes_the_base(init, make_model, logits):
    theirs = peft_start(make_model(), init)
    before = logits(theirs)
    theirs.add_adapter("second", theirs.peft_config["default"])
    assert relative_change(logits(theirs), before) > 0.01, "upstream mended it"
    for name in ANCHORED:
        ours = attach(make_model(), name, r=4, alpha=8)
        before = logits(ours)
        ours.add_adapter("second", ours.peft_config["default"])
        assert torch.equal(logits(ours), before)


@pytest.mark.filterwarnings("ignore:Model has `tie_word_embeddings=True`")
def test_p6_a_start_on_a_tied_head_changes_the_embedding(make_model, logits):
    model = make_model(tie_word_embeddings=True)
    base = logits(model)
    theirs = peft_start(model, "pissa", target_modules=["lm_head"])
    assert relative_change(logits(theirs), base) > 0.05, "upstream mended it"
    with pytest.raises(UserError, match="lm_head"):
        attach(model, "pissa", r=4, target_modules=["lm_head"])
    assert torch.equal(logits(model), base)


def test_p7_too_large_a_rank_is_cut_in_silence(make_model):
    theirs = dict(lora_layers(peft_start(make_model(), "pissa", r=24, alpha=24)))
    k_proj = theirs["model.layers.0.self_attn.k_proj"]  # (16, 32)
    assert k_proj.lora_A["default"].weight.shape[0] == 16 < k_proj.r["default"], "upstream mended it"
    with pytest.raises(UserError, match="k_proj"):
        attach(make_model(), "pissa", r=24, alpha=24)


@pytest.mark.filterwarnings("ignore:The following (rank|alpha)_pattern keys did not match:RuntimeWarning")
def test_p8_experts_held_as_one_parameter_are_not_linear_layers():
    """The refusal names them; the attention layers beside them can be adapted."""
    config = Qwen3MoeConfig(
        vocab_size=29,
        hidden_size=32,
        moe_intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=16,
        num_experts=4,
        num_experts_per_tok=2,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
    )
    model = Qwen3MoeForCausalLM(config).eval()
    assert model.model.layers[0].mlp.experts.down_proj.dim() == 3, "the experts are 3-D parameters"
    with pytest.raises(AttributeError):
        peft_start(model, "pissa")
    with pytest.raises(UserError, match=r"layers\.0\.mlp\.experts"):
        attach(model, "pissa", r=4)
    assert len(list(lora_layers(attach(model, "pissa", r=4, target_modules=["q_proj", "v_proj"])))) == 2


def test_p12_all_linear_takes_a_linear_gate_and_leaves_out_the_head_of_transformers_classes_alone():
    """The gate: as PEFT, and said. The head: never, since `attach` takes no other class."""
    config = Qwen2MoeConfig(
        vocab_size=29,
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=1,
        num_experts=4,
        moe_intermediate_size=16,
        shared_expert_intermediate_size=16,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
    )
    model = Qwen2MoeForCausalLM(config).eval()
    bare = nn.ModuleDict({"body": copy.deepcopy(model.model), "lm_head": copy.deepcopy(model.lm_head)})
    wrapped = inject_adapter_in_model(lora_config(False), bare)
    assert isinstance(wrapped["lm_head"], LoraLayer), "upstream mended it"
    with pytest.warns(UserWarning, match="leaves out .*experts"):
        adapted = attach(model, "lora", r=1, alpha=2)
    names = [name for name, _ in lora_layers(adapted)]
    assert "model.layers.0.mlp.shared_expert_gate" in names
    assert not any("lm_head" in name for name in names)


@pytest.mark.filterwarnings("ignore:PiSSA changes the base weights:UserWarning")  # PEFT's, of what it does itself here
def test_p9_converting_to_rank_2r_loses_a_small_update_in_bfloat16(make_model, tmp_path):
    """PEFT writes [B, −B₀]·[A; A₀], which subtracts two large products; [ΔB, B₀]·[A; ΔA] does not."""
    generator = torch.Generator().manual_seed(0)

    def step(parameters) -> None:
        for parameter in parameters:
            parameter.data.add_(1e-3 * torch.randn(parameter.shape, generator=generator))

    def error(B, A, exact) -> float:
        """Of the factors as an engine in bfloat16 holds them."""
        return relative_change((B.bfloat16().double() @ A.bfloat16().double()).detach(), exact)

    theirs = peft_start(make_model(), "pissa", target_modules=["q_proj"])
    config = theirs.peft_config["default"]
    config.init_lora_weights = True
    theirs.save_pretrained(tmp_path / "initial")
    config.init_lora_weights = "pissa"
    layer = next(layer for _, layer in lora_layers(theirs))
    A, B = (factors["default"].weight for factors in (layer.lora_A, layer.lora_B))
    start = B.detach().double() @ A.detach().double()
    step((A, B))
    exact = B.detach().double() @ A.detach().double() - start
    theirs.save_pretrained(tmp_path / "converted", path_initial_model_for_weight_conversion=str(tmp_path / "initial"))
    saved = load_file(tmp_path / "converted" / "adapter_model.safetensors")
    place = "base_model.model.model.layers.0.self_attn.q_proj.lora_"
    converted = {side: saved[f"{place}{side}.weight"] for side in "AB"}
    assert converted["A"].shape[0] == 2 * len(A)
    assert relative_change(converted["B"].double() @ converted["A"].double(), exact) < 1e-3
    assert error(converted["B"], converted["A"], exact) > 0.1, "upstream mended it"

    ours = attach(make_model(), "pissa", r=4, alpha=8, target_modules=["q_proj"])
    layer = next(layer for _, layer in lora_layers(ours))
    a, b = layer.lora_A["default"], layer.lora_B["default"]
    step((a.delta, b.delta))
    exact = (b.delta.double() @ a.factor.double() + b.anchor.double() @ a.delta.double()).detach()
    assert error(b.weight, a.weight, exact) < 0.01  # two roundings of 2⁻⁹ each, on terms that hardly cancel


def test_p10_leaving_disable_adapter_unfreezes_parameters(make_model, take_steps):
    theirs = peft_start(make_model(), True)
    for _, layer in lora_layers(theirs):
        layer.lora_A["default"].weight.requires_grad_(False)
    with theirs.disable_adapter():
        pass
    assert all(layer.lora_A["default"].weight.requires_grad for _, layer in lora_layers(theirs)), "upstream mended it"

    for name in ANCHORED:
        ours = attach(make_model(), name, r=4, alpha=8)
        anchors = {key: value.clone() for key, value in ours.named_buffers() if key.endswith("anchor")}
        trainable = [key for key, p in ours.named_parameters() if p.requires_grad]
        assert anchors
        for _ in range(3):
            ours.set_adapter("default")
            with ours.disable_adapter():
                pass
            take_steps(ours, 1)
        assert [key for key, p in ours.named_parameters() if p.requires_grad] == trainable
        after = dict(ours.named_buffers())
        assert all(torch.equal(after[key], anchors[key]) for key in anchors)


@pytest.mark.filterwarnings("ignore:fan_in_fan_out is set to False but the target module is `Conv1D`")
def test_p13_conv1d_matrices_are_transposed(logits):
    model = GPT2LMHeadModel(
        GPT2Config(vocab_size=29, n_embd=32, n_layer=1, n_head=2, n_positions=64, bos_token_id=1, eos_token_id=2)
    ).eval()
    base = logits(model)
    weight = model.transformer.h[0].attn.c_attn.weight
    assert weight.shape == (32, 96), "Conv1D keeps (in, out)"
    _, layer = next(lora_layers(attach(model, "pissa", r=4, alpha=8, target_modules=["c_attn"])))
    assert layer.lora_A["default"].anchor.shape == (4, 32)
    assert layer.lora_B["default"].anchor.shape == (96, 4)
    assert torch.equal(logits(model), base)


def test_low_memory_mode_rounds_a_plain_lora_in_bfloat16(make_model, logits, take_steps, tmp_path):
    """PEFT casts the float32 factors of the file to the base's type and back."""
    theirs = peft_start(make_model(torch.bfloat16), True)
    take_steps(theirs)
    theirs.save_pretrained(tmp_path / "theirs")
    again = PeftModel.from_pretrained(make_model(torch.bfloat16), tmp_path / "theirs", low_cpu_mem_usage=True)
    assert not torch.equal(logits(again), logits(theirs)), "upstream mended it"
    ours = attach(make_model(torch.bfloat16), "pissa", r=4, alpha=8)
    take_steps(ours)
    save(ours, tmp_path / "ours")
    assert torch.equal(logits(load(make_model(torch.bfloat16), tmp_path / "ours")), logits(ours))
