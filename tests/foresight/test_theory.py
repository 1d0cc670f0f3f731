"""The first step's theory against what a preflight measures, on nano's own policy gradient and on a tiny model."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

import stiefel
from stiefel.adapter.attached import certificate_of
from stiefel.adapter.wrap import ADAPTER, lora_layers
from stiefel.foresight import Preflight
from stiefel.foresight.change import matrices_of
from stiefel.foresight.measure import over_olora
from stiefel.geometry import step_ratio
from stiefel.geometry.watched import trained_factor
from stiefel.methods import METHODS, used_settings
from stiefel.model.weights import load_model
from stiefel.spectrum.linalg import exact_svd

# float32 sums of ~10² tokens through 4 layers: some tens of roundings of 2⁻²⁴ on top of each other
FLOAT32 = 2e-5
TINY = 1e-12  # the same in float64, with room
MOVING = [method.name for method in METHODS if method.stands_on != "norms"]
COMPOSED = ["rlpo+dora", "pissa+dora", "random_orthonormal+lora_fa", "olora+rslora"]
LORA = [method.name for method in METHODS if method.kind == "start"]


def loss(model: Any) -> Tensor:
    """−Σ Â·log π with advantages of both signs, as a policy gradient weighs tokens."""
    ids = torch.arange(24).view(2, 12) % 29
    logps = F.log_softmax(model(input_ids=ids).logits[:, :-1], dim=-1)
    taken = logps.gather(2, ids[:, 1:, None])[:, :, 0]
    return -(torch.tensor([[1.5], [-0.5]]) * taken).mean()


def at_its_gradient(make_model: Any, method: str) -> tuple[Any, list[Any]]:
    """A tiny model in float64 with a method at its start, its gradients, and its matrices."""
    given = used_settings(method, rank=4, alpha=8, dropout=0.0, targets="all-linear")
    model = stiefel.attach(make_model(), method, **given).double()
    loss(model).backward()
    return model, matrices_of(model)


def descend(model: Any, rate: float) -> None:
    """One step of plain gradient descent from the start; the gradients stay."""
    torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=rate).step()


@pytest.mark.parametrize("method", LORA)
def test_a_step_of_sgd_is_the_predicted_one_up_to_its_second_order(make_model: Any, method: str) -> None:
    rate = 1e-2
    model, matrices = at_its_gradient(make_model, method)
    descents = [matrix.descent() for matrix in matrices]
    second = [
        float(layer.scaling[ADAPTER]) * norm_of_gradient(layer.lora_A) * norm_of_gradient(layer.lora_B)
        for _, layer in lora_layers(model)
    ]
    descend(model, rate)
    for matrix, descent, remainder in zip(matrices, descents, second, strict=True):
        # ΔW₁ = −ηD + s·ΔBΔA with ‖ΔBΔA‖ ≤ η²‖g_B‖‖g_A‖, which is 0 where B₀ = 0
        assert abs(matrix.moved() - rate * descent) <= rate**2 * remainder + TINY * rate * descent
        assert descent > 0


def norm_of_gradient(side: Any) -> float:
    return float(torch.stack([p.grad.norm() for p in side.parameters() if p.requires_grad]).norm())


@pytest.mark.parametrize("method", [*MOVING, *COMPOSED])
def test_every_methods_step_tends_to_the_predicted_one(make_model: Any, method: str) -> None:
    errors = []
    for rate in (1e-3, 1e-4):
        model, matrices = at_its_gradient(make_model, method)
        descents = [matrix.descent() for matrix in matrices]
        descend(model, rate)
        errors.append(
            max(abs(m.moved() / (rate * descent) - 1) for m, descent in zip(matrices, descents, strict=True) if descent)
        )
        assert all(matrix.moved() == 0 for matrix, descent in zip(matrices, descents, strict=True) if not descent)
        assert any(descents)
    # a tenth of the rate leaves a tenth of the error; 1e-5 is the difference quotient's own
    assert errors[1] <= 0.11 * errors[0] + 1e-5


@pytest.mark.parametrize("method", LORA)
def test_a_lora_s_ratio_is_the_closed_form_of_the_full_gradient(make_model: Any, method: str) -> None:
    base = make_model().double()
    loss(base).backward()
    model, matrices = at_its_gradient(make_model, method)
    for (name, layer), matrix in zip(lora_layers(model), matrices, strict=True):
        G = base.get_submodule(name).weight.grad
        B = layer.lora_B[ADAPTER]
        expected = step_ratio(G, trained_factor(layer.lora_A[ADAPTER]), trained_factor(B), layer.scaling[ADAPTER])
        assert matrix.descent() / float(G.norm()) == pytest.approx(expected, rel=1e-9)


def test_prop_5_3_holds_for_every_matrix(found: Preflight) -> None:
    bounded = {one.method: one for one in found.methods if one.bound is not None}
    assert bounded.keys() == {"rlpo", "rlmo", "random_orthonormal"}
    for one in bounded.values():
        assert one.bound == 1.0
        assert all(0 < m.descent <= m.full.norm * (1 + FLOAT32) for m in one.matrices)


def test_theorem_4_1_holds_for_every_matrix(found: Preflight) -> None:
    pissa, olora = (next(one for one in found.methods if one.method == name) for name in ("pissa", "olora"))
    base = load_model("nano")
    for first, second in zip(pissa.matrices, olora.matrices, strict=True):
        smallest = float(exact_svd(base.get_submodule(first.name).weight.detach()).S[3])  # σ_r of r = 4
        assert first.descent / second.descent >= smallest * (1 - FLOAT32)
        # the bound that is reported is σ_r of the factors: here s = 1, where divided and undivided are one
        assert first.over_olora == pytest.approx(smallest, rel=1e-5)
        assert second.over_olora is None
    (line,) = [line for line in found.reading if "Theorem 4.1" in line]
    least = min(
        first.descent / second.descent / first.over_olora
        for first, second in zip(pissa.matrices, olora.matrices, strict=True)
    )
    assert f"none less than {least:.3g} times its own bound" in line


@pytest.mark.parametrize(("sigma", "divisor"), [("divided", 2.0), ("undivided", 1.0)])
def test_the_bound_over_olora_is_sigma_r_of_the_factors(make_model: Any, sigma: str, divisor: float) -> None:
    """s = 2: B₀B₀ᵀ is U(Σ/s)Uᵀ or UΣUᵀ, and OLoRA's is UUᵀ at the same s."""
    pissa = stiefel.attach(make_model(), "pissa", r=4, alpha=8, sigma=sigma)
    bounds = over_olora(certificate_of(pissa))
    olora = stiefel.attach(make_model(), "olora", r=4, alpha=8)
    assert over_olora(certificate_of(olora)) == {}
    descents = []
    for model in (pissa.double(), olora.double()):
        loss(model).backward()
        descents.append({matrix.name: matrix.descent() for matrix in matrices_of(model)})
    base = make_model()
    for name, bound in bounds.items():
        sigma_r = float(exact_svd(base.get_submodule(name).weight.detach()).S[3])
        assert bound == pytest.approx(sigma_r / divisor, rel=1e-5)
        assert descents[0][name] >= bound * descents[1][name] * (1 - FLOAT32)
