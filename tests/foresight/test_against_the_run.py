"""What a preflight says of the first step is what the run then does."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from stiefel.artifacts import read_jsonl
from stiefel.foresight import TOLERANCE, Preflight, preflight
from stiefel.recipe.recipe import make_recipe
from stiefel.run.run import train

from .conftest import TABLES

# log-probabilities of one rollout in pieces or whole differ by float32's rounding, about 1e-6; √(2·KL) is their scale
ROUNDING = 1e-3


def first_row(tables: dict[str, Any], out: Path) -> dict[str, Any]:
    """The metrics of a run of one rollout."""
    train(make_recipe({**tables, "optim": {**tables["optim"], "rollouts": 1}}), out)
    return read_jsonl(out / "metrics.jsonl")[0]


def with_method(method: str, **optim: Any) -> dict[str, Any]:
    """The recipe of a method, with its geometry written."""
    adapter = {"rank": 4, "alpha": 4, "method": method}
    adapter |= {"options": {"sigma": "undivided"}} if method == "pissa" else {}
    run = {"threads": 1, "geometry_every": 1}
    return {**TABLES, "adapter": adapter, "run": run, "optim": {**TABLES["optim"], **optim}}


@pytest.mark.parametrize("method", ["lora", "pissa", "rlpo"])
def test_the_first_step_is_the_run_s(found: Preflight, method: str, tmp_path: Path) -> None:
    predicted = next(one for one in found.methods if one.method == method)
    row = first_row(with_method(method), tmp_path / "run")
    assert row["reward"] == pytest.approx(found.rollout["reward"])
    assert row["completion_length"] * found.rollout["completions"] == pytest.approx(found.rollout["tokens"])
    assert row["grad_norm"] == pytest.approx(predicted.gradient_norm, rel=1e-5)
    assert row["kl_step"] == pytest.approx(predicted.kl, rel=ROUNDING)
    layers = read_jsonl(tmp_path / "run" / "geometry.jsonl")[0]["layers"]
    steps = {one.name: one.step for one in predicted.matrices}
    assert {layer["name"] for layer in layers} == steps.keys()
    for layer in layers:
        assert layer["delta_norm"] == pytest.approx(steps[layer["name"]], rel=1e-4)


def test_a_run_at_the_returned_rate_spends_the_budget(found: Preflight, tmp_path: Path) -> None:
    budgets = {one.method: one.budget for one in found.methods}
    assert all(budget.reached for budget in budgets.values())
    assert all(abs(budget.kl / found.kl_budget - 1) <= TOLERANCE for budget in budgets.values())
    row = first_row(with_method("pissa", lr=budgets["pissa"].rate), tmp_path / "run")
    assert row["kl_step"] == pytest.approx(budgets["pissa"].kl, rel=ROUNDING)


def test_a_warm_up_and_the_algorithm_are_the_recipe_s(tmp_path: Path) -> None:
    tables = with_method("rlpo", warmup_rollouts=3, weight_decay_on="factors")
    tables |= {"algorithm": {"name": "grpo"}, "run": {"threads": 1}}
    tables |= {"eval": {"tasks": ["nano-sort"], "limit": 1}}  # which a run measures before, and that changes nothing
    seen = preflight(make_recipe(tables))
    (one,) = seen.methods
    row = first_row(tables, tmp_path / "run")
    assert seen.warmup == 0.25
    assert one.rate == row["learning_rate"] == 0.25e-3
    assert row["grad_norm"] == pytest.approx(one.gradient_norm, rel=1e-5)
    assert row["kl_step"] == pytest.approx(one.kl, rel=ROUNDING)
    assert one.kl_at_lr > 2 * one.kl


def test_micro_batches_and_groups_of_matrices_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    whole, pieces = (
        preflight(make_recipe({**TABLES, "optim": {**TABLES["optim"], "micro_batch": size}}), ["rlpo"])
        for size in patched_sizes(monkeypatch)
    )
    for name, gradient in whole.gradients.items():
        assert pieces.gradients[name].norm == pytest.approx(gradient.norm, rel=1e-4)
    assert pieces.methods[0].ratio == pytest.approx(whole.methods[0].ratio, rel=1e-4)
    assert math.isclose(pieces.methods[0].kl, whole.methods[0].kl, rel_tol=1e-2)


def patched_sizes(monkeypatch: pytest.MonkeyPatch) -> Any:
    """0, and then 4 with room for a few matrices' gradients at once."""
    yield 0
    monkeypatch.setattr("stiefel.foresight.full_gradient.BUDGET", 4 * 128 * 512 * 2)
    yield 4
