"""How much of an update is played: against dense float64, and the sizes at which a bf16 engine loses it."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from stiefel.engine.factors import LayerFactors
from stiefel.engine.survival import Survival, of_factors, of_weights, together

M, N, R = 192, 256, 8


def draw(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def anchored(epsilon: float) -> tuple[Tensor, LayerFactors, LayerFactors]:
    """W; its PiSSA start moved by a change of relative size ε, as ours sends it and as [B, −B₀]·[A; A₀]."""
    W = draw(M, N, seed=0)
    U, S, Vh = torch.linalg.svd(W, full_matrices=False)
    B0, A0 = U[:, :R] * S[:R].sqrt(), S[:R].sqrt()[:, None] * Vh[:R]
    dB, dA = draw(M, R, seed=1), draw(R, N, seed=2)
    size = epsilon * W.norm() / (dB @ A0 + B0 @ dA).norm()
    dB, dA = dB * size, dA * size
    ours = LayerFactors("q", torch.cat([A0 + dA, dA]), torch.cat([dB, B0], 1))
    pefts = LayerFactors("q", torch.cat([A0 + dA, A0]), torch.cat([B0 + dB, -B0], 1))
    return W, ours, pefts


def dense(trained: Tensor, played: Tensor) -> tuple[float, float]:
    """(survival, error) written down directly."""
    survival = float((played * trained).sum() / trained.square().sum())
    return survival, float((played - trained).norm() / trained.norm())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("epsilon", [1e-2, 1e-4])
def test_of_factors_it_is_that_of_the_dense_matrices(dtype, epsilon):
    _, layer, _ = anchored(epsilon)
    sent = layer.to(dtype)
    found = of_factors(layer, sent)
    expected = dense(layer.B.double() @ layer.A.double(), sent.B.double() @ sent.A.double())
    assert (found.survival, found.error) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(("epsilon", "merged"), [(1e-2, 0.17), (1e-3, 0.79), (1e-4, 0.98)])
def test_a_bf16_engine_loses_a_merged_update_and_keeps_one_that_is_sent_as_factors(epsilon, merged):
    W, ours, pefts = anchored(epsilon)
    change = ours.B.double() @ ours.A.double()
    base = W.bfloat16()
    trained = base.double() + change
    rounded = of_weights(base, trained, trained.to(torch.bfloat16))
    assert rounded.error == pytest.approx(merged, abs=0.06)
    assert of_factors(ours, ours.to(torch.bfloat16)).error < 0.004
    assert of_factors(ours, ours.to(torch.bfloat16)).survival == pytest.approx(1, abs=0.004)
    if epsilon <= 1e-3:  # the other way to write an anchored update loses it too
        assert of_factors(pefts, pefts.to(torch.bfloat16)).error > 0.5


def test_of_weights_it_is_that_of_the_dense_matrices():
    base, change = draw(M, N, seed=0).bfloat16(), 1e-3 * draw(M, N, seed=1).double()
    sent = (base.double() + change).bfloat16()
    found = of_weights(base, base.double() + change, sent)
    assert (found.survival, found.error) == pytest.approx(dense(change, sent.double() - base.double()), rel=1e-9)


def test_nothing_lost_is_one_and_nothing_moved_is_no_number():
    _, layer, _ = anchored(1e-3)
    same = of_factors(layer, layer)
    assert (same.survival, same.error) == (1.0, 0.0)
    still = LayerFactors("q", layer.A, torch.zeros_like(layer.B))
    assert math.isnan(of_factors(still, still.to(torch.bfloat16)).survival)


def test_layers_together_are_one_vector():
    layers = [Survival(4.0, -1.0, 0.5), Survival(12.0, 0.0, 0.5)]
    assert together(layers).survival == 1 - 1 / 16
    assert together(layers).error == (1.0 / 16) ** 0.5
