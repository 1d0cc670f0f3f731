"""`rate = "kl"` and `"matched-step"`: each run of a grid at the rate at which first steps are alike."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from stiefel.comparison import compare, write_array
from stiefel.comparison.comparison import begin
from stiefel.comparison.rates import keep_rates, kept_rates, key, rated
from stiefel.errors import UserError
from stiefel.foresight import KL_BUDGET, TOLERANCE, budget_of, matched_rates, preflight
from stiefel.recipe import load_grid
from stiefel.recipe.recipe import load_recipe, make_recipe

RECIPE = """
[recipe.optim]
rollouts = 1
lr = 1e-3
[recipe.rollout]
prompts = 2
completions = 4
max_completion_tokens = 8
[recipe.run]
threads = 1
save_every = 0
[recipe.eval]
tasks = []
"""
METHODS = ["rlpo", "full"]


def grid(place: Path, head: str, axes: str = "", recipe: str = RECIPE, methods: Sequence[str] = METHODS) -> Path:
    path = place / "grid.toml"
    path.write_text(f'{head}\n{recipe}\n[axes]\n{axes}\n"adapter.method" = {json.dumps(methods)}\n')
    return path


def test_a_method_without_a_matrix_has_no_step_to_match() -> None:
    """Which is said before anything is measured."""
    asked = {method: make_recipe({"adapter": {"method": method}}) for method in ("lora", "ln_tuning")}
    said: list[str] = []
    with pytest.raises(UserError, match='rate = "kl"'):
        matched_rates(asked, "matched-step", said.append)
    assert said == []


def test_a_comparison_at_an_equal_kl_has_the_rates_of_preflight_and_keeps_them(tmp_path: Path) -> None:
    """Seeds share a rate; the cap is the budget; a run that is begun again has the rate that it had."""
    capped = RECIPE.replace("lr = 1e-3", "lr = 1e-3\nkl_cap = 4e-3")
    out, path = tmp_path / "out", grid(tmp_path, 'rate = "kl"', '"run.seed" = [3, 4]', capped)
    compare(load_grid(path), out, jobs=1)
    kept = json.loads((out / "rates.json").read_text())
    assert (kept["rate"], kept["budget"]) == ("kl", 4e-3)
    assert budget_of(make_recipe({})) == KL_BUDGET, "without a cap preflight's own"
    for method in METHODS:
        first, second = (kept["runs"][f"seed{seed}-{method}"] for seed in (3, 4))
        assert first == second
        assert abs(first["kl"] / 4e-3 - 1) <= TOLERANCE
        assert load_recipe(out / "runs" / f"seed4-{method}" / "recipe.toml").optim.lr == first["lr"]
    shown = preflight(load_grid(path).runs["seed3-rlpo"], METHODS, kl_budget=4e-3).methods
    assert {one.method: (one.budget.rate, one.budget.kl) for one in shown} == {
        method: (kept["runs"][f"seed3-{method}"]["lr"], kept["runs"][f"seed3-{method}"]["kl"]) for method in METHODS
    }

    known = kept["runs"]["seed3-rlpo"]["lr"]
    kept["runs"]["seed3-rlpo"]["lr"] = kept["runs"]["seed4-rlpo"]["lr"] = 1.5e-3  # what no measurement gives
    (out / "rates.json").write_text(json.dumps(kept))
    with pytest.raises(UserError, match=r"optim\.lr"):
        compare(load_grid(path), out, resume=True)
    kept["runs"]["seed3-rlpo"]["lr"] = kept["runs"]["seed4-rlpo"]["lr"] = known
    kept["runs"]["seed3-full"]["kl"] = kept["runs"]["seed4-full"]["kl"] = 0.5
    (out / "rates.json").write_text(json.dumps(kept))
    compare(load_grid(path), out, resume=True)
    assert json.loads((out / "rates.json").read_text()) == kept, "what is known is not measured again"


def test_a_rule_is_not_put_over_runs_that_were_begun_without_it(tmp_path: Path) -> None:
    plain, out = load_grid(grid(tmp_path, "", methods=["lora"])), tmp_path / "out"
    begin(plain, out, goes_on=False)
    (out / "runs" / "lora").mkdir()
    (out / "runs" / "lora" / "recipe.toml").write_text(plain.runs["lora"].to_toml())
    (out / "runs" / "lora" / "manifest.json").write_text('{"status": "finished"}')
    with pytest.raises(UserError, match=r"began with another recipe.*optim\.lr"):
        compare(load_grid(grid(tmp_path, 'rate = "kl"', methods=["lora"])), out, resume=True)
    assert not (out / "rates.json").exists()


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


def test_the_cells_of_an_array_step_as_far_as_the_first(tmp_path: Path) -> None:
    script, methods = tmp_path / "sweep.sh", ["lora", *METHODS]
    write_array(load_grid(grid(tmp_path, 'rate = "matched-step"', methods=methods)), script)
    kept = json.loads((tmp_path / "sweep" / "rates.json").read_text())
    assert kept["reference"] == "lora"
    found = [kept["runs"][method] for method in methods]
    rates = [load_recipe(tmp_path / "sweep.cells" / f"{method}.toml").optim.lr for method in methods]
    assert rates == [one["lr"] for one in found]
    assert rates[0] == 1e-3
    assert 1e-3 not in rates[1:]
    for one in found:
        assert abs(one["step"] ** 2 / found[0]["step"] ** 2 - 1) <= TOLERANCE
    kls = [one["kl"] for one in found]
    assert max(kls) > 1.5 * min(kls), "the same size costs each method another KL, or one rule would do"


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
