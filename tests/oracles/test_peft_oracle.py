"""Two starts that PEFT has too: its PiSSA's product and its default LoRA's distribution."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model

from stiefel import attach
from stiefel.adapter.attached import lora_layers

EPS = torch.finfo(torch.float32).eps
RANK = 4


def peft_layers(model, **settings):
    config = LoraConfig(target_modules="all-linear", task_type="CAUSAL_LM", **settings)
    return dict(lora_layers(get_peft_model(model, config)))


@pytest.mark.parametrize("alpha", [RANK, 2 * RANK])
def test_pissa_anchors_the_product_that_peft_does(alpha, make_model):
    model = make_model()
    theirs = peft_layers(copy.deepcopy(model), r=RANK, lora_alpha=alpha, init_lora_weights="pissa")
    for name, layer in lora_layers(attach(model, "pissa", r=RANK, alpha=alpha)):
        W = layer.get_base_layer().weight.detach().double()
        A0, B0 = layer.lora_A["default"].anchor.double(), layer.lora_B["default"].anchor.double()
        A, B = (getattr(theirs[name], side)["default"].weight.detach().double() for side in ("lora_A", "lora_B"))
        S = np.linalg.svd(W.numpy(), compute_uv=False)
        # a float32 SVD's backward error (m + n)·ε·σ₁ turns the subspaces by that over the gap (Wedin, both sides)
        bound = 2 * sum(W.shape) * EPS * S[0] * (1 + S[0] / (S[RANK - 1] - S[RANK]))
        assert (alpha / RANK) * float((B @ A - B0 @ A0).norm()) <= bound
        assert bound < 0.05 * (alpha / RANK) * float((B0 @ A0).norm()), "the bound must be able to fail"


def test_lora_is_distributed_as_pefts_default(make_model):
    n, rank, sizes = 256, 16, {"hidden_size": 256, "intermediate_size": 256}
    theirs = peft_layers(make_model(**sizes), r=rank, lora_alpha=rank, init_lora_weights=True)
    samples = []
    for layers in (theirs, dict(lora_layers(attach(make_model(**sizes), "lora", r=rank)))):
        A = [x.lora_A["default"].weight.detach().double().flatten() for x in layers.values() if x.in_features == n]
        assert all(x.lora_B["default"].weight.count_nonzero() == 0 for x in layers.values())
        samples.append(torch.cat(A))
    expected = 1 / math.sqrt(3 * n)  # of U(−1/√n, 1/√n)
    for sample in samples:
        count = sample.numel()
        assert float(sample.abs().max()) <= 1 / math.sqrt(n) * (1 + EPS)
        assert float(sample.abs().max()) >= 1 / math.sqrt(n) * (1 - 20 / count)  # (1 − 20/N)ᴺ = 2e-9
        # the variance of a uniform sample's square is 4/5 of its mean's square: 5σ of the estimate
        assert abs(float(sample.std()) / expected - 1) <= 5 * math.sqrt(0.8 / count) / 2
