"""Decay on the factors: AdamW on ΔA, ΔB ends where torch's AdamW on A and B ends."""

from __future__ import annotations

import pytest
import torch

from stiefel import attach
from stiefel.adapter.attached import lora_layers
from stiefel.training.optimizers import make_optimizer

SETTINGS = {"lr": 0.01, "weight_decay": 0.1, "betas": (0.9, 0.999), "eps": 1e-8}


@pytest.mark.parametrize("name", ["lora", "pissa", "milora"])
def test_factor_decay_is_adamw_on_the_published_parameters(name, make_model):
    adapted = attach(make_model(), name, r=4, target_modules=["q_proj"]).double()
    factors = [side["default"] for _, layer in lora_layers(adapted) for side in (layer.lora_A, layer.lora_B)]
    anchored = name != "lora"

    def value(factor):
        return factor.factor if anchored else factor.weight

    published = [value(f).detach().clone().requires_grad_() for f in factors]
    ours = make_optimizer(adapted, **SETTINGS, weight_decay_on="factors")
    theirs = torch.optim.AdamW(published, **SETTINGS)
    generator = torch.Generator().manual_seed(0)
    for _ in range(5):
        for f, p in zip(factors, published, strict=True):
            gradient = torch.randn(p.shape, generator=generator, dtype=torch.float64)
            (f.delta if anchored else f.weight).grad = gradient.clone()
            p.grad = gradient
        ours.step()
        theirs.step()
    for f, p in zip(factors, published, strict=True):
        # five steps of a few float64 roundings each
        assert (value(f) - p).abs().max() <= 50 * torch.finfo(torch.float64).eps * (1 + p.abs().max())
