"""The search for a rate, on functions whose answer is known."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stiefel.foresight import TOLERANCE, rate_for


def counted(kl_at: Callable[[float], float]) -> tuple[Callable[[float], float], list[float]]:
    trials: list[float] = []

    def called(rate: float) -> float:
        trials.append(rate)
        return kl_at(rate)

    return called, trials


@settings(max_examples=50, derandomize=True)
@given(
    slope=st.floats(1.0, 3.5),
    size=st.floats(1e-6, 1e6),
    budget=st.floats(1e-6, 1.0),
    rate=st.floats(1e-6, 1e-1),
)
def test_a_power_law_is_met(slope: float, size: float, budget: float, rate: float) -> None:
    kl_at, trials = counted(lambda lr: size * lr**slope)
    if not 1e-11 < (budget / size) ** (1 / slope) < 1e2:
        return  # outside of the rates that are looked at
    spent = rate_for(kl_at, budget, rate, kl_at(rate))
    assert spent.reached
    assert abs(size * spent.rate**slope / budget - 1) <= TOLERANCE * (1 + 1e-9)
    assert len(trials) <= 41


def test_a_quadratic_takes_two_trials() -> None:
    kl_at, trials = counted(lambda lr: 50 * lr**2)
    assert rate_for(kl_at, 1e-3, 3e-4, kl_at(3e-4)).reached
    assert len(trials) == 2


def test_what_is_not_finite_lies_above() -> None:
    spent = rate_for(lambda lr: 50 * lr**2 if lr < 1e-2 else math.nan, 1e-3, 1.0, math.nan)
    assert spent.reached
    assert spent.kl == pytest.approx(1e-3, rel=TOLERANCE)


def test_a_kl_that_stays_below_is_said() -> None:
    spent = rate_for(lambda lr: min(lr**2, 1e-5), 1e-3, 1e-4, 1e-8)
    assert not spent.reached
    assert spent.kl == 1e-5
    assert "costs more than this" in spent.why or "trials came no nearer" in spent.why


def test_a_floor_above_the_budget_is_said() -> None:
    spent = rate_for(lambda lr: 1e-9 + lr**2, 1e-12, 1e-4, 1e-9 + 1e-8)
    assert not spent.reached
    assert spent.kl == pytest.approx(1e-9)


def test_a_jump_over_the_budget_is_said() -> None:
    spent = rate_for(lambda lr: 1e-6 if lr < 1e-3 else 1.0, 1e-3, 1e-4, 1e-6)
    assert not spent.reached
    assert "jumps from 1e-06 to 1" in spent.why
