"""`rate = "kl"` and `"matched-step"`: each run of a grid at the rate at which first steps are alike."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from stiefel.comparison import compare, write_array
from stiefel.comparison.rates import keep_rates, kept_rates, key, rated
from stiefel.errors import UserError
from stiefel.foresight import TOLERANCE, budget_of, matched_rates, preflight
from stiefel.recipe import load_grid
from stiefel.recipe.recipe import Recipe, load_recipe, make_recipe

RECIPE = """
[recipe.optim]
rollouts = 1
lr = 1e-3
[recipe.rollout]
prompts = 4
completions = 4
max_completion_tokens = 16
[recipe.run]
threads = 1
save_every = 0
[recipe.eval]
tasks = []
"""
METHODS = ["lora", "rlpo"]


def grid(place: Path, head: str, axes: str = "", recipe: str = RECIPE) -> Path:
    path = place / "grid.toml"
    path.write_text(f'{head}\n{recipe}\n[axes]\n{axes}\n"adapter.method" = {METHODS}\n')
    return path


def recipes() -> dict[str, Recipe]:
    settings = {"optim": {"rollouts": 1, "lr": 1e-3}, "run": {"threads": 1}}
    settings["rollout"] = {"prompts": 4, "completions": 4, "max_completion_tokens": 16}
    return {method: make_recipe({**settings, "adapter": {"method": method}}) for method in [*METHODS, "full"]}


def test_at_an_equal_kl_the_rates_are_those_of_preflight() -> None:
    asked = recipes()
    found = matched_rates(asked, "kl")
    shown = preflight(asked["lora"], list(asked)).methods
    assert {one.method: (one.budget.rate, one.budget.kl) for one in shown} == {
        method: (rate.lr, rate.kl) for method, rate in found.items()
    }
    assert all(abs(rate.kl / budget_of(asked["lora"]) - 1) <= TOLERANCE for rate in found.values())


def test_a_matched_step_is_as_large_as_the_first_runs() -> None:
    asked = recipes()
    found = matched_rates(asked, "matched-step")
    assert found["lora"].lr == asked["lora"].optim.lr
    for rate in found.values():
        assert rate.step is not None
        assert found["lora"].step is not None
        assert abs(rate.step**2 / found["lora"].step ** 2 - 1) <= TOLERANCE
    kls = [rate.kl for rate in found.values()]
    assert max(kls) > 1.5 * min(kls), "the same size costs each method another KL, or one rule would do"


def test_a_method_without_a_matrix_has_no_step_to_match() -> None:
    """Which is said before anything is measured."""
    asked = {**recipes(), "ln_tuning": make_recipe({"adapter": {"method": "ln_tuning"}})}
    said: list[str] = []
    with pytest.raises(UserError, match='rate = "kl"'):
        matched_rates(asked, "matched-step", said.append)
    assert said == []


def test_a_comparison_keeps_its_rates_and_goes_on_with_them(tmp_path: Path) -> None:
    """Seeds share a rate; the cap is the budget; a run that is begun again has the rate that it had."""
    out, path = tmp_path / "out", grid(tmp_path, 'rate = "kl"', '"run.seed" = [3, 4]')
    capped = RECIPE.replace("lr = 1e-3", "lr = 1e-3\nkl_cap = 4e-3")
    path = grid(tmp_path, 'rate = "kl"', '"run.seed" = [3, 4]', capped)
    compare(load_grid(path), out)
    kept = json.loads((out / "rates.json").read_text())
    assert (kept["rate"], kept["budget"]) == ("kl", 4e-3)
    for method in METHODS:
        first, second = (kept["runs"][f"seed{seed}-{method}"] for seed in (3, 4))
        assert first == second
        assert abs(first["kl"] / 4e-3 - 1) <= TOLERANCE
        assert load_recipe(out / "runs" / f"seed4-{method}" / "recipe.toml").optim.lr == first["lr"]
    kept["runs"]["seed3-lora"]["lr"] = kept["runs"]["seed4-lora"]["lr"] = 1.5e-3  # what no measurement gives
    (out / "rates.json").write_text(json.dumps(kept))
    with pytest.raises(UserError, match=r"optim\.lr"):
        compare(load_grid(path), out, resume=True)
    kept["runs"]["seed3-lora"]["lr"] = kept["runs"]["seed4-lora"]["lr"] = second_lr(out)
    kept["runs"]["seed3-rlpo"]["kl"] = kept["runs"]["seed4-rlpo"]["kl"] = 0.5
    (out / "rates.json").write_text(json.dumps(kept))
    compare(load_grid(path), out, resume=True)
    assert json.loads((out / "rates.json").read_text()) == kept, "what is known is not measured again"


def test_a_rule_is_not_put_over_runs_that_were_begun_without_it(tmp_path: Path) -> None:
    compare(load_grid(grid(tmp_path, "")), tmp_path / "out")
    with pytest.raises(UserError, match=r"began with another recipe.*optim\.lr"):
        compare(load_grid(grid(tmp_path, 'rate = "kl"')), tmp_path / "out", resume=True)
    assert not (tmp_path / "out" / "rates.json").exists()


def test_rates_are_known_by_the_recipe_and_not_by_the_runs_names(tmp_path: Path) -> None:
    """An axis that came to a grid gives its runs other names; another model gives them other rates."""
    old = load_grid(grid(tmp_path, 'rate = "kl"'))
    found = {key(recipe): {"lr": 0.5, "kl": 1e-3, "step": 1.0} for recipe in old.runs.values()}
    (tmp_path / "out").mkdir()
    keep_rates(old, tmp_path / "out", found)
    grown = load_grid(grid(tmp_path, 'rate = "kl"', '"adapter.rank" = [8]'))
    assert grown.runs.keys() != old.runs.keys()
    kept = kept_rates(grown, tmp_path / "out")
    assert {recipe.optim.lr for recipe in rated(grown, kept).runs.values()} == {0.5}
    other = load_grid(grid(tmp_path, 'rate = "kl"'), ["rollout.prompts=8"])
    assert {recipe.optim.lr for recipe in rated(other, kept).runs.values()} == {1e-3}


def second_lr(out: Path) -> float:
    return load_recipe(out / "runs" / "seed4-lora" / "recipe.toml").optim.lr


def test_the_cells_of_an_array_have_their_rates(tmp_path: Path) -> None:
    script = tmp_path / "sweep.sh"
    write_array(load_grid(grid(tmp_path, 'rate = "matched-step"')), script)
    kept = json.loads((tmp_path / "sweep" / "rates.json").read_text())
    assert kept["reference"] == "lora"
    rates = [load_recipe(tmp_path / "sweep.cells" / f"{method}.toml").optim.lr for method in METHODS]
    assert rates == [kept["runs"][method]["lr"] for method in METHODS]
    assert rates[0] == 1e-3 != rates[1]


@pytest.mark.parametrize(
    ("head", "axes", "says"),
    [
        ('rate = "kl"', '"optim.lr" = [1e-3, 1e-4]', "leave one of them out"),
        ('rate = "matched step"', "", "matched-step"),
        ("rate = 1e-3", "", "where each run's learning rate comes from"),
    ],
)
def test_a_rule_that_cannot_be_is_refused(head: str, axes: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as error:
        load_grid(grid(tmp_path, head, axes))
    assert says in f"{error.value.why} {error.value.instead}"
