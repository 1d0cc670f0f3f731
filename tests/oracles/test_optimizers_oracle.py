"""The methods' optimizers against float64 closed forms, torch's AdamW, and PEFT's own helpers."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from peft.optimizers import create_lorafa_optimizer, create_loraplus_optimizer

from stiefel import UserError, attach
from stiefel.adapter.attached import lora_layers
from stiefel.adapter.trained_weights import own_weights
from stiefel.training.optimizers import make_optimizer, rates
from stiefel.training.steps import projection

UNIT = torch.finfo(torch.float32).eps / 2
IDS = torch.arange(24).view(2, 12) % 29


def backward(model):
    model.eval()
    model(input_ids=IDS, labels=IDS).loss.backward()


def closed_form(gradient, A, s):
    """s⁻²·g(AAᵀ)⁻¹ in float64."""
    g, a = gradient.double().numpy(), A.double().numpy()
    return g @ np.linalg.inv(a @ a.T) / s**2


@pytest.mark.parametrize("start", ["lora", "random_orthonormal", "dct"])
def test_lora_fa_s_gradient_is_the_closed_form_and_peft_s_is_off_by_bfloat16(start, make_model):
    alpha, r = 12, 4
    ours = attach(make_model(), f"{start}+lora_fa", r=r, alpha=alpha)
    theirs = attach(make_model(), start, r=r, alpha=alpha)
    optimizer = make_optimizer(ours, lr=0.01, betas=(0.0, 0.999))  # the first moment is then the gradient itself
    reference = create_lorafa_optimizer(theirs, r=r, lora_alpha=alpha, lr=0.01)
    worst = 0.0
    for model in (ours, theirs):
        backward(model)
    raw = {name: layer.lora_B["default"].weight.grad.clone() for name, layer in lora_layers(ours)}
    optimizer.step()
    reference.step()
    for name, layer in lora_layers(ours):
        A, B = layer.lora_A["default"].weight, layer.lora_B["default"].weight
        assert torch.equal(B.grad, raw[name]), "the gradient that backward left is kept"
        expected = closed_form(raw[name], A, alpha / r)
        found = optimizer.state[B]["exp_avg"].double().numpy()
        # P = s⁻²(AAᵀ)⁻¹ is rounded once, and each entry is a sum of r products in float32
        P = np.abs(projection(A, alpha / r).double().numpy())
        assert (np.abs(found - expected) <= (r + 2) * UNIT * (np.abs(raw[name].double().numpy()) @ P) + 1e-30).all()
        peft = reference.state[f"base_model.model.{name}.lora"]["exp_avg_B"]
        peft = peft.double().numpy() / 0.1
        worst = max(worst, float(np.linalg.norm(peft - expected) / np.linalg.norm(expected)))
    assert worst > 1e-3, "upstream mended it"


def test_lora_fa_s_projection_of_dependent_rows_is_the_least_squares_match():
    A = torch.randn(3, 16, generator=torch.Generator().manual_seed(0))
    A = torch.cat([A, A[:1] + A[1:2]])
    G = torch.randn(8, 16, generator=torch.Generator().manual_seed(1))
    s = 2.0
    step = s * (s * G @ A.T) @ projection(A, s) @ A
    Q = np.linalg.qr(A[:3].double().numpy().T)[0]
    best = G.double().numpy() @ Q @ Q.T
    # the rank is 3 of 4: the pseudo-inverse leaves out what is rounding, and the rest is well conditioned
    assert np.linalg.norm(step.double().numpy() - best) <= 1e3 * UNIT * np.linalg.norm(best)


@pytest.mark.parametrize("ratio", [1, 2, 16])
def test_lora_plus_steps_as_peft_s_helper_without_its_empty_groups(ratio, make_model):
    start = attach(make_model(), "rlpo", r=4, alpha=8)
    ours = attach(make_model(), "rlpo+lora_plus", r=4, alpha=8, ratio=ratio)
    theirs = create_loraplus_optimizer(start, torch.optim.AdamW, lr=0.01, loraplus_lr_ratio=ratio, fused=True)
    optimizer = make_optimizer(ours, lr=0.01)
    assert sum(not group["params"] for group in theirs.param_groups) == 2, "upstream mended it"
    assert all(group["params"] for group in optimizer.param_groups)
    assert rates(optimizer) == {"A": 0.01, "B": 0.01 * ratio}
    for _ in range(3):
        for model, steps in ((start, theirs), (ours, optimizer)):
            steps.zero_grad()
            backward(model)
            steps.step()
    for (_, one), (_, other) in zip(lora_layers(start), lora_layers(ours), strict=True):
        assert torch.equal(one.lora_A["default"].weight, other.lora_A["default"].weight)
        assert torch.equal(one.lora_B["default"].weight, other.lora_B["default"].weight)


@pytest.mark.parametrize("decay", ["delta", "factors"])
@pytest.mark.parametrize("name", ["sparse", "full"])
def test_own_weights_step_as_adamw_in_float64(name, decay, make_model):
    settings = {"lr": 0.01, "weight_decay": 0.1, "betas": (0.9, 0.999), "eps": 1e-8}
    model = attach(make_model(), name)
    optimizer = make_optimizer(model, **settings, weight_decay_on=decay)
    weights = list(own_weights(model))
    base = [weight.base.double() for weight in weights]
    published = [(value if decay == "factors" else torch.zeros_like(value)).clone().requires_grad_() for value in base]
    groups = [
        {"params": [p], "weight_decay": 0.0 if decay == "factors" and weight.parameter.dim() < 2 else 0.1}
        for weight, p in zip(weights, published, strict=True)
    ]
    theirs = torch.optim.AdamW(groups, **settings)
    generator = torch.Generator().manual_seed(0)
    for _ in range(5):
        for weight, p in zip(weights, published, strict=True):
            weight.parameter.grad = torch.randn(weight.parameter.shape, generator=generator)
            p.grad = (weight.parameter.grad if weight.mask is None else weight.parameter.grad[weight.mask]).double()
        optimizer.step()
        theirs.step()
    for weight, p, start in zip(weights, published, base, strict=True):
        expected = p.detach() if decay == "factors" else start + p.detach()
        # five steps of a dozen float32 roundings each, of numbers no larger than |W| + 5·lr
        assert (weight.values.double() - expected).abs().max() <= 60 * 2 * UNIT * (start.abs().max() + 0.05)


def test_a_step_below_a_bfloat16_s_last_place_is_not_lost(make_model):
    """Ten steps of 1e-5 on weights near 0.2, whose last place in bfloat16 is 1e-3: the copies sum them up."""
    model = attach(make_model(torch.bfloat16), "full")
    optimizer = make_optimizer(model, lr=1e-5)
    before = [master.detach().clone() for _, master in optimizer.weights]
    for _ in range(10):
        for parameter in model.parameters():
            parameter.grad = torch.ones_like(parameter)
        optimizer.step()
    for old, (weight, master) in zip(before, optimizer.weights, strict=True):
        assert (old - master - 1e-4).abs().max() <= 40 * UNIT * (1 + float(old.abs().max()))
        assert torch.equal(weight.parameter.detach(), master.detach().to(torch.bfloat16))


def test_clipping_sees_the_entries_in_the_mask_alone(make_model):
    model = attach(make_model(), "sparse", r=4)
    bare = make_model()
    for one in (model, bare):
        backward(one)
    total = 0.0
    for weight in own_weights(model):
        gradient = bare.get_parameter(weight.name).grad
        assert torch.equal(weight.parameter.grad, gradient * weight.mask)
        total += float(gradient[weight.mask].double().square().sum())
    norm = torch.nn.utils.clip_grad_norm_([p for p in model.parameters() if p.grad is not None], 1e9)
    assert float(norm) == pytest.approx(total**0.5, rel=1e-5)


SCALES = {"dora": 14, "ia3": 14, "ln_tuning": 9}


@pytest.mark.parametrize("name", SCALES)
def test_scales_decay_towards_their_start_or_not_at_all(name, make_model):
    """With gradients of 0, so that decay is all that moves: towards 0 they would switch their layers off."""
    for decay in ("delta", "factors"):
        model = attach(make_model(), name)
        optimizer = make_optimizer(model, lr=0.1, weight_decay=0.5, weight_decay_on=decay)
        (group,) = [group for group in optimizer.param_groups if group["name"] == "scales"]
        assert len(group["params"]) == SCALES[name]
        starts = [p.detach().clone() for p in group["params"]]
        for p in group["params"]:
            p.data.add_(1.0)
            p.grad = torch.zeros_like(p)
        optimizer.step()
        for p, start in zip(group["params"], starts, strict=True):
            expected = start + (0.95 if decay == "delta" else 1.0)
            assert (p.detach() - expected).abs().max() <= 8 * UNIT * (1 + start.abs().max())


def test_the_anchor_side_of_lora_plus_keeps_its_decay_centre_per_rate(make_model):
    """Decay on the factors takes ηλ·A₀ with the group's own η."""
    model = attach(make_model(), "pissa+lora_plus", r=4, ratio=4)
    optimizer = make_optimizer(model, lr=0.1, weight_decay=0.5, weight_decay_on="factors")
    for p in model.parameters():
        p.grad = torch.zeros_like(p) if p.requires_grad else None
    optimizer.step()
    for _, layer in lora_layers(model):
        a, b = layer.lora_A["default"], layer.lora_B["default"]
        assert (a.delta + 0.05 * a.anchor).abs().max() <= 4 * UNIT * a.anchor.abs().max()
        assert (b.delta + 0.2 * b.anchor).abs().max() <= 4 * UNIT * b.anchor.abs().max()


def test_an_unknown_decay_is_refused(make_model):
    with pytest.raises(UserError, match="weight_decay_on"):
        make_optimizer(attach(make_model(), "rlpo", r=4), lr=0.1, weight_decay_on="delt")


def test_a_model_that_nobody_attached_has_no_optimizer(make_model):
    with pytest.raises(UserError, match="carries no adapter"):
        make_optimizer(copy.deepcopy(make_model()), lr=0.1)
