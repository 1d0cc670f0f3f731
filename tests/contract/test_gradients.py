"""The anchored form trains as the published one: W + s(BA − B₀A₀), differentiated in float64 by A and B."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from stiefel import attach
from stiefel.adapter.attached import lora_layers
from stiefel.methods import STARTS

RATE = 0.1
UNIT = torch.finfo(torch.float32).eps / 2  # the relative error of one rounding
TERMS = 48  # the longest sum: the larger side of the largest target


def published(W: Tensor, A0: Tensor, B0: Tensor, A: Tensor, B: Tensor, s: float, x: Tensor, g: Tensor):
    """Gradients by A and B of ⟨g, f(x)⟩ for f(x) = (W + s(BA − B₀A₀))x, in float64."""
    A, B = A.double().requires_grad_(), B.double().requires_grad_()
    effective = W.double() + s * (B @ A - B0.double() @ A0.double())
    (F.linear(x.double(), effective) * g.double()).sum().backward()
    return A.grad, B.grad, effective.detach()


def trained_form(module, anchored: bool):
    """(A₀, B₀, A, B, parameter of A, parameter of B) of one PEFT layer."""
    a, b = module.lora_A["default"], module.lora_B["default"]
    if anchored:
        return a.anchor, b.anchor, a.factor.detach(), b.factor.detach(), a.delta, b.delta
    A, B = a.weight.detach().clone(), b.weight.detach().clone()
    return torch.zeros_like(A), torch.zeros_like(B), A, B, a.weight, b.weight


@pytest.mark.parametrize("moved", [False, True], ids=["start", "moved"])
@pytest.mark.parametrize("scaling", [1, 2])
@pytest.mark.parametrize("target", ["q_proj", "up_proj", "down_proj"])
def test_gradients_and_a_step_are_those_of_the_published_form(method, target, scaling, moved, make_model):
    adapted = attach(make_model(), method.name, r=4, alpha=4 * scaling, target_modules=[target])
    _, module = next(lora_layers(adapted))
    A0, B0, _, _, a, b = trained_form(module, method.anchored)
    generator = torch.Generator().manual_seed(3)
    if moved:
        for p in (a, b):
            p.data.add_(0.1 * torch.randn(p.shape, generator=generator))
    A0, B0, A, B, a, b = trained_form(module, method.anchored)
    W = module.get_base_layer().weight
    x = torch.randn(5, W.shape[1], generator=generator)
    g = torch.randn(5, W.shape[0], generator=generator)

    (module(x) * g).sum().backward()
    grad_A, grad_B, _ = published(W, A0, B0, A, B, scaling, x, g)
    # a gradient is a chain of three products; a sum of n terms is off by at most n·u of its terms' magnitudes, which
    # Frobenius norms bound: ‖B‖ ≤ ‖ΔB‖ + ‖B₀‖, and A likewise
    norms = {name: float(t.norm()) for name, t in {"A": A, "A0": A0, "B": B, "B0": B0, "x": x, "g": g}.items()}
    slack = 3 * TERMS * UNIT * scaling * norms["x"] * norms["g"]
    assert (a.grad - grad_A).norm() <= slack * (norms["B"] + 2 * norms["B0"] + norms["A0"])
    assert (b.grad - grad_B).norm() <= slack * (norms["A"] + 2 * norms["A0"] + norms["B0"])

    with torch.no_grad():
        for p in (a, b):
            p.sub_(RATE * p.grad)
    _, _, expected = published(W, A0, B0, A.double() - RATE * grad_A, B.double() - RATE * grad_B, scaling, x, g)
    change = scaling * module.lora_B["default"].weight.double() @ module.lora_A["default"].weight.double()
    # ΔA and ΔB carry RATE times the gradients' errors and a few roundings of their own; one product takes them into W
    step_A, step_B = float((RATE * grad_A).norm()), float((RATE * grad_B).norm())
    total = norms["A"] + norms["A0"] + step_A, norms["B"] + norms["B0"] + step_B
    off = RATE * slack * (total[0] + total[1]) * 2 + 8 * UNIT * (total[0] + total[1])
    assert (W.double() + change - expected).norm() <= scaling * off * (total[0] + total[1])


@pytest.mark.parametrize("name", [method.name for method in STARTS if method.anchored])
def test_a_small_step_is_not_lost_to_cancellation(name, make_model):
    """Relative error of the update, not of W: [B, −B₀]·[A; A₀] would lose ε·‖B₀A₀‖/‖update‖ ≈ 1e6·ε here."""
    adapted = attach(make_model(), name, r=4, alpha=8, target_modules=["q_proj"])
    _, module = next(lora_layers(adapted))
    a, b = module.lora_A["default"], module.lora_B["default"]
    generator = torch.Generator().manual_seed(4)
    for factor in (a, b):
        factor.delta.data.copy_(1e-6 * factor.anchor.norm() * torch.randn(factor.delta.shape, generator=generator))
    dA, dB = a.delta.double(), b.delta.double()
    update = dB @ (a.anchor.double() + dA) + b.anchor.double() @ dA
    seen = b.weight.double() @ a.weight.double()
    assert (seen - update).norm() <= 16 * UNIT * (
        dB.norm() * a.anchor.double().norm() + b.anchor.double().norm() * dA.norm()
    )
