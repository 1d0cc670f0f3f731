"""PEFT loads a saved adapter with no knowledge of Stiefel, and computes the same logits."""

from __future__ import annotations

import json

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file

from stiefel import attach, save

DTYPES = [torch.float32, torch.bfloat16]


EXACT = [(torch.float32, {}), (torch.bfloat16, {}), (torch.float32, {"low_cpu_mem_usage": True})]
ROUNDING = [  # PEFT rounds the factors to the base's type on these ways; they are Stiefel's float32 on none of its own
    (torch.bfloat16, {"low_cpu_mem_usage": True}),
    (torch.bfloat16, {"autocast_adapter_dtype": False}),
    (torch.bfloat16, {"autocast_adapter_dtype": False, "low_cpu_mem_usage": True}),
]


@pytest.mark.parametrize(("dtype", "how"), EXACT, ids=str)
def test_logits_are_equal_bit_for_bit(method, dtype, how, saved_adapter, make_model, logits):
    saved = saved_adapter(method, dtype)
    plain = PeftModel.from_pretrained(make_model(dtype), saved.directory, **how)
    assert not torch.equal(saved.logits, saved.start), "the steps must have moved the policy"
    assert torch.equal(logits(plain), saved.logits)


@pytest.mark.parametrize(("dtype", "how"), EXACT + ROUNDING, ids=str)
def test_an_untrained_adapter_is_the_base_even_with_rounded_factors(method, dtype, how, make_model, logits, tmp_path):
    """Zeros stay zeros when they are rounded, so the start is exact on every way of loading."""
    model = make_model(dtype)
    base = logits(model)
    save(attach(model, method.name, r=4, alpha=8), tmp_path / "adapter")
    assert torch.equal(logits(PeftModel.from_pretrained(make_model(dtype), tmp_path / "adapter", **how)), base)


@pytest.mark.parametrize(("dtype", "how"), ROUNDING, ids=str)
def test_where_peft_rounds_the_factors_the_update_is_off_by_that_rounding_alone(
    method, dtype, how, saved_adapter, make_model
):
    """The error is relative to the update's own terms ΔB·A and B₀·ΔA, not to the anchor B₀A₀, which is far larger."""
    saved = saved_adapter(method, dtype)
    plain = PeftModel.from_pretrained(make_model(dtype), saved.directory, **how)
    loaded = dict(plain.named_parameters())
    factors = load_file(saved.directory / "adapter_model.safetensors")
    unit = torch.finfo(dtype).eps / 2
    for key in factors:
        if key.endswith("lora_B.weight"):
            continue
        pair = [key.replace("lora_A", "lora_B"), key]
        B, A = (factors[name].double() for name in pair)
        B_seen, A_seen = (loaded[name.replace(".weight", ".default.weight")].double() for name in pair)
        assert torch.equal(A_seen, A.to(dtype).double())
        # every entry of the product moves by at most 2u + u² of the sum of its terms' magnitudes
        assert ((B_seen @ A_seen - B @ A).abs() <= (2 * unit + unit**2) * (B.abs() @ A.abs())).all()


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_files_say_what_they_must(method, dtype, saved_adapter):
    saved = saved_adapter(method, dtype)
    config = json.loads((saved.directory / "adapter_config.json").read_text())
    width = 2 if saved.anchored else 1
    assert config["init_lora_weights"] is True
    assert (config["r"], config["lora_alpha"]) == (4 * width, 8 * width)
    assert not config["rank_pattern"]
    assert not config["alpha_pattern"]
    factors = load_file(saved.directory / "adapter_model.safetensors")
    assert {factor.dtype for factor in factors.values()} == {torch.float32}
    assert len(factors) == 2 * 14
    for key, factor in factors.items():
        assert key.startswith("base_model.model.model.layers.")
        assert key.endswith(("lora_A.weight", "lora_B.weight"))
        assert factor.shape["lora_B" in key] == 4 * width
    names = {path.name for path in saved.directory.iterdir()} - {"README.md"}
    expected = {"adapter_config.json", "adapter_model.safetensors", "stiefel.json"}
    assert names == expected | ({"anchors.safetensors"} if saved.anchored else set())
    if saved.anchored:
        anchors = load_file(saved.directory / "anchors.safetensors")
        assert {anchor.dtype for anchor in anchors.values()} == {torch.float32}


def test_merging_is_the_adapters_output(method, saved_adapter, make_model, logits):
    saved = saved_adapter(method)
    merged = logits(PeftModel.from_pretrained(make_model(), saved.directory).merge_and_unload())
    # W + sBA is rounded once and the sums are ordered otherwise: a few hundred roundings a layer of two, each of ε
    # relative to activations of order 1, which the layers may amplify by their norms
    assert (merged - saved.logits).abs().max() <= 1000 * torch.finfo(torch.float32).eps * saved.logits.abs().max()
    assert (saved.logits - saved.start).abs().max() > 0.01, "the bound must be able to fail"


def test_merging_in_memory_is_the_adapters_output(method, make_model, logits, take_steps):
    adapted = attach(make_model(), method.name, r=4, alpha=8)
    take_steps(adapted)
    output = logits(adapted)
    adapted.merge_adapter()
    assert (logits(adapted) - output).abs().max() <= 1000 * torch.finfo(torch.float32).eps * output.abs().max()
    adapted.unmerge_adapter()
    assert (logits(adapted) - output).abs().max() <= 1000 * torch.finfo(torch.float32).eps * output.abs().max()
