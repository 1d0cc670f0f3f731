"""GPT-2 keeps (in, out): its matrices are transposed before the SVD, and the start is exact."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from stiefel import attach
from stiefel.adapter.attached import certificate_of, lora_layers

pytestmark = pytest.mark.filterwarnings("ignore:fan_in_fan_out is set to False but the target module is `Conv1D`")


@pytest.fixture
def gpt2():
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=29, n_embd=32, n_layer=2, n_head=2, n_positions=64, bos_token_id=1, eos_token_id=2, pad_token_id=0
    )
    return GPT2LMHeadModel(config).eval()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_start_is_exact_and_the_shapes_are_out_in(method, dtype, gpt2, logits):
    gpt2.to(dtype)
    base = logits(gpt2)
    adapted = attach(gpt2, method.name, r=4, alpha=8)
    assert torch.equal(logits(adapted), base)
    shapes = {layer.name: layer.shape for layer in certificate_of(adapted).layers}
    assert shapes["transformer.h.0.attn.c_attn"] == (96, 32)
    assert shapes["transformer.h.1.mlp.c_proj"] == (32, 128)


def test_right_singular_vectors_live_on_the_input_side(gpt2):
    adapted = attach(gpt2, "rlpo", r=4, target_modules=["c_attn"])
    for _, layer in lora_layers(adapted):
        W = layer.get_base_layer().weight.detach().double().numpy().T
        V = np.linalg.svd(W)[2][:4]
        A = layer.lora_A["default"].weight.detach().double().numpy()
        assert A.shape == (4, 32)
        assert np.abs(A.T @ A - V.T @ V).max() <= 1e-5


def test_merging_gives_the_adapters_output(method, gpt2, logits, take_steps):
    adapted = attach(gpt2, method.name, r=4, alpha=8)
    take_steps(adapted)
    output = logits(adapted)
    merged = logits(adapted.merge_and_unload())
    assert (merged - output).abs().max() <= 1e-4 * output.abs().max()
