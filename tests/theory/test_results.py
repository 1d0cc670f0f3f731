"""The six results that the geometry rests on, measured through autograd; docs/theory.md shows these very numbers."""

from __future__ import annotations

import pytest
import torch

from scripts.nano_gradient import batch, first_steps, full_gradients
from scripts.theory import PAGE, RESULTS, ROUNDING, frames, measured, norm, page
from scripts.toy import SAMPLES, cumulants, fisher, full_descent, kl, linear_layer, lora_descent, softmax_policy
from stiefel.geometry import first_order_step, first_step, frame_defect, full_step, gap_bound, kl_radius, step_ratio

TOYS = pytest.mark.parametrize("make", [linear_layer, softmax_policy])


@pytest.mark.parametrize("title", RESULTS)
def test_every_prediction_holds_on_every_problem(title) -> None:
    lines = measured(title)
    assert lines
    assert [line for line in lines if not line.holds] == []


def test_the_docs_show_these_numbers() -> None:
    assert PAGE.read_text() == page(), "run `python -m scripts.theory`"


@TOYS
@pytest.mark.parametrize("scaling", [1.0, 2.0])
def test_the_closed_first_step_is_autograd_s(make, scaling) -> None:
    """Exactly, second order included, for every kind of start."""
    problem, lr = make(), 1e-2
    G = problem.gradient(problem.W)
    for A, B in frames(problem).values():
        found, _ = lora_descent(problem, A, B, scaling, lr)
        exact = first_step(G, A, B, scaling, lr).rows(slice(None))
        assert norm(found - exact) <= ROUNDING * norm(found)
        remainder = lr**2 * scaling**3 * (G @ A.T) @ (B.T @ G)  # sΔBΔA
        first = first_order_step(G, A, B, scaling, lr).rows(slice(None))
        assert norm(exact - first - remainder) <= ROUNDING * norm(exact)
        ratio = norm(first) / norm(full_step(G, lr))
        assert step_ratio(G, A, B, scaling) == pytest.approx(ratio, rel=1e-10)
    assert step_ratio(torch.zeros_like(G), A, B, scaling) == 0.0


def test_the_gradient_of_nano_is_a_policy_gradient_with_signal() -> None:
    """Of sampled completions: some groups agree and have none, others have both signs."""
    _, mask, advantages = batch()
    groups = advantages.view(-1, 4)
    spread = groups.abs().amax(1)
    assert 0 < int((spread > 0).sum()) < len(groups)
    assert groups.sum(1).abs().max() <= 1e-12
    assert mask.sum(1).min() >= 1
    assert all(norm(G) > 0 for G in full_gradients().values())


@pytest.mark.parametrize("scaling", [1, 2])
def test_nano_s_steps_are_the_closed_ones(scaling) -> None:
    lr = 1e-4
    for method in ("lora", "pissa"):
        steps = first_steps(method, 8, 8 * scaling, lr)
        for name, G in full_gradients().items():
            A, B, change = (steps[name][key] for key in ("A", "B", "change"))
            exact = first_step(G, A, B, float(scaling), lr).rows(slice(None))
            assert norm(change - exact) <= 1e-10 * norm(change)


def test_the_defect_of_a_frame_is_at_least_one_and_one_where_its_rows_are_orthonormal() -> None:
    generator = torch.Generator().manual_seed(0)
    for scale in (0.1, 1.0, 3.0):
        A = scale * torch.randn(4, 20, generator=generator, dtype=torch.float64)
        dense = torch.linalg.matrix_norm(torch.eye(20, dtype=torch.float64) - A.T @ A, 2)
        assert frame_defect(A) == pytest.approx(float(dense), rel=1e-12)
        assert frame_defect(A) >= 1
    for A, _ in (frames(linear_layer())[method] for method in ("random_orthonormal", "rlpo", "rlmo")):
        assert frame_defect(A) == 1.0
    square = torch.linalg.qr(torch.randn(6, 6, generator=generator, dtype=torch.float64))[0]
    assert frame_defect(square) == pytest.approx(0.0, abs=1e-12)  # r = n: nothing is left out


@pytest.mark.parametrize("group", [2, 4, 8, 16])
def test_advantages_are_not_bounded_by_one(group) -> None:
    """One success in a group of G: Â = (1 − 1/G)/std = √(G − 1)·√((G−1)/G) with the unbiased std, up to √(G − 1)."""
    reward = torch.zeros(group, dtype=torch.float64)
    reward[0] = 1.0
    biased = (reward - reward.mean()) / reward.std(correction=0)
    assert float(biased.max()) == pytest.approx((group - 1) ** 0.5)
    assert float(((reward - reward.mean()) / reward.std()).max()) == pytest.approx((group - 1) / group**0.5)


def test_the_toy_s_smoothness_is_above_one_and_bounds_its_gradient() -> None:
    problem = softmax_policy()
    assert problem.smoothness > 1
    generator = torch.Generator().manual_seed(2)
    for size in (1e-3, 1.0):
        other = problem.W + size * torch.randn(problem.W.shape, generator=generator, dtype=torch.float64)
        moved = norm(problem.gradient(other) - problem.gradient(problem.W))
        assert moved <= problem.smoothness * problem.input_norm**2 * norm(other - problem.W)


@TOYS
def test_the_gap_of_one_step_is_the_projection_alone(make) -> None:
    """T = 1: ΔW₁^full(A₀ᵀA₀ − I), so that the bound is reached up to ‖G₀‖'s own direction."""
    problem, lr = make(), 1e-2
    A, B = frames(problem)["rlpo"]
    full, largest = full_descent(problem, lr, 1)
    lora, _ = lora_descent(problem, A, B, 1.0, lr, 1)
    assert norm(lora - full - full @ (A.T @ A - torch.eye(A.shape[1], dtype=torch.float64))) <= ROUNDING * norm(full)
    assert norm(lora - full) <= gap_bound(A, largest, problem.smoothness, problem.input_norm, lr, 1)
    assert gap_bound(A, 3.0, 1.0, 0.0, 0.5, 7) == pytest.approx(1.5)  # Γ = 1 where x = 0


def test_the_fisher_information_is_the_curvature_of_the_kl() -> None:
    problem = softmax_policy()
    assert len(problem.X) == SAMPLES
    generator = torch.Generator().manual_seed(3)
    D = torch.randn(problem.W.shape, generator=generator, dtype=torch.float64)
    curvature = float(fisher(problem, D[None]))
    t = 1e-4
    # the third order is t·‖Dx‖ of the second
    assert kl(problem, t * D) == pytest.approx(t**2 * curvature / 2, rel=10 * t * norm(D))
    assert kl(problem, torch.ones_like(D)) <= ROUNDING  # the same to every action: no change of the policy
    assert kl_radius(2.0, 4.0) == 1.0
    assert cumulants(problem, D)[0] == pytest.approx(curvature)
