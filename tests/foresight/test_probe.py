"""A probe leaves everything as it was, for every method; a rollout without a signal is replaced or refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from stiefel.adapter.attached import attach
from stiefel.errors import UserError
from stiefel.foresight import preflight
from stiefel.foresight.bench import Bench, sample, started
from stiefel.foresight.check import variants
from stiefel.foresight.matched import one
from stiefel.foresight.measure import for_sampling
from stiefel.foresight.probe import Probe, ProbeTrainer
from stiefel.foresight.rate import TOLERANCE
from stiefel.foresight.rollout import MOST_BATCHES
from stiefel.methods import METHODS
from stiefel.model.weights import load_model, load_tokenizer
from stiefel.recipe.recipe import Recipe, make_recipe
from stiefel.tasks import training_task
from stiefel.training.rows import training_rows

from .conftest import TABLES

EVERY = [*(method.name for method in METHODS), "rlpo+dora", "rlmo+rslora+lora_plus"]
PLAIN = {**TABLES, "adapter": {"rank": 4, "alpha": 4, "method": "lora"}}


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    recipe = make_recipe(PLAIN)
    task, tokenizer = training_task(recipe.task), load_tokenizer("nano")
    rows = training_rows(for_sampling(recipe), task, tokenizer)
    return Bench(tokenizer, task, rows, tmp_path_factory.mktemp("scratch"))


@pytest.fixture(scope="module")
def rollout(bench: Bench) -> Any:
    recipe = for_sampling(make_recipe(PLAIN))
    return sample(bench, recipe, attach(load_model("nano"), "lora", r=1, alpha=1), lambda line: None)


@pytest.mark.parametrize("method", EVERY)
def test_a_step_is_undone_to_the_bit(bench: Bench, rollout: Any, method: str, same_state: Any) -> None:
    (recipe,) = variants(make_recipe(PLAIN), [method], 1e-3).values()
    trainer = started(bench, recipe, rollout)
    assert trainer.start_difference() == 0.0  # every start is the base's policy
    base = load_model("nano").state_dict()
    before = state(trainer.model)
    trainer.first_gradient()
    trainer.clip()
    probe = Probe(trainer)
    with probe.step(1e-2) as kl:
        assert kl > 0
        assert not same_state(state(trainer.model), before)
    assert same_state(state(trainer.model), before)
    assert trainer.start_difference() == 0.0
    assert probe.kl(1e-2) == kl  # so that the order of the trials does not matter
    frozen = {
        name.removeprefix("base_model.model.").replace(".base_layer", ""): tensor for name, tensor in before.items()
    }
    assert all(torch.equal(frozen[name], tensor) for name, tensor in base.items())


class Rounded(ProbeTrainer):
    """Scores as in a 16-bit type do: any two policies seem apart, by as much."""

    narrow, adds = True, 1e-3

    def kl_step(self) -> float | None:
        return (super().kl_step() or 0.0) + self.adds


def test_what_rounding_adds_to_a_kl_is_no_part_of_a_budget(
    bench: Bench, rollout: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In bfloat16 it is as large as the budget; the rate is then that of exact scores."""
    (recipe,) = variants(make_recipe(PLAIN), ["lora"], 1e-3).values()
    exact = one("lora", recipe, bench, rollout, "kl", None)
    monkeypatch.setattr("stiefel.foresight.bench.ProbeTrainer", Rounded)
    found = one("lora", recipe, bench, rollout, "kl", None)
    assert found.lr == pytest.approx(exact.lr, rel=2 * TOLERANCE)
    assert found.kl == pytest.approx(1e-3, rel=TOLERANCE)


def state(model: Any) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


def tables(**rollout: Any) -> dict[str, Any]:
    return {**PLAIN, "rollout": {"prompts": 1, "completions": 2, "max_completion_tokens": 32, **rollout}}


def test_rollouts_without_a_signal_are_replaced() -> None:
    lines: list[str] = []
    found = preflight(make_recipe({**tables(), "run": {"threads": 1, "seed": 1}}), progress=lines.append)
    assert 1 < found.rollout["sampled"] <= MOST_BATCHES  # both completions are right, or both wrong, at first
    assert found.rollout["groups_with_a_difference"] == 1
    assert "had no signal" in found.notes[0]
    assert any("had no signal" in line for line in lines)
    assert found.methods[0].gradient_norm > 0


def test_a_task_that_gives_no_signal_is_refused() -> None:
    with pytest.raises(UserError, match=f"no signal in {MOST_BATCHES} rollouts") as refused:
        preflight(make_recipe(tables(max_completion_tokens=1)))
    assert "the last mean reward was 0" in refused.value.why
    assert "dynamic_sampling" in refused.value.instead


def test_it_repeats_itself_and_depends_on_the_seed() -> None:
    first, again = (json.dumps(preflight(make_recipe(PLAIN)).to_json()) for _ in range(2))
    other = json.dumps(preflight(make_recipe({**PLAIN, "run": {"threads": 1, "seed": 1}})).to_json())
    assert first == again
    assert other != first


def test_a_rate_of_0_moves_nothing_and_the_budget_s_rate_is_found() -> None:
    found = preflight(make_recipe({**PLAIN, "optim": {**PLAIN["optim"], "lr": 0.0}}))
    (one,) = found.methods
    assert one.kl == one.step == 0.0
    assert one.step_ratio is None
    assert one.budget.reached
    assert "optim.lr = 0" in " ".join(found.reading)


def test_an_adapter_directory_is_measured_and_a_trained_one_refused(tmp_path: Path) -> None:
    import stiefel

    model = attach(load_model("nano"), "pissa", r=4, alpha=4, sigma="undivided")
    stiefel.save(model, tmp_path / "fresh")
    by_path, by_method = (
        preflight(recipe).methods[0]
        for recipe in (
            make_recipe({**TABLES, "adapter": {"path": str(tmp_path / "fresh")}}),
            make_recipe(TABLES),
        )
    )
    assert by_path.step == by_method.step
    assert by_path.kl == by_method.kl
    assert by_path.ratio == by_method.ratio
    with torch.no_grad():
        next(p for p in model.parameters() if p.requires_grad).add_(0.1)
    stiefel.save(model, tmp_path / "trained")
    with pytest.raises(UserError, match="has been trained"):
        preflight(make_recipe({**TABLES, "adapter": {"path": str(tmp_path / "trained")}}))


def test_vllm_is_replaced_and_said(recipe: Recipe) -> None:
    rollout = recipe.rollout.model_copy(update={"engine": "vllm"})
    (probed,) = variants(recipe.model_copy(update={"rollout": rollout}), [], 1e-3).values()
    assert probed.rollout.engine == "hf"
