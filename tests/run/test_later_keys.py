"""A recipe key that is younger than a run has its default there, so that the run goes on."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from stiefel.comparison.cells import base_key
from stiefel.comparison.grown import as_begun_in
from stiefel.errors import UserError
from stiefel.recipe import load_grid
from stiefel.recipe.recipe import DEFAULTS, make_recipe
from stiefel.run.directory import same_recipe

OTHER: dict[str, Any] = {"task": {"train_rows": 16}}  # of supervised training


def without(out: Path, recipe: Any, *keys: str) -> None:
    """A run's recipe.toml as it was before these keys, or these whole tables, were known."""
    tables = tomllib.loads(recipe.to_toml())
    for key in keys:
        section, _, name = key.partition(".")
        if name:
            del tables[section][name]
        else:
            del tables[section]
    out.mkdir(exist_ok=True)
    (out / "recipe.toml").write_text(tomli_w.dumps(tables))


@pytest.mark.parametrize("algorithm", DEFAULTS)
def test_every_key_may_be_younger_than_the_run(algorithm: str, tmp_path: Path) -> None:
    """Its default is that of the run's algorithm."""
    recipe = make_recipe({"algorithm": {"name": algorithm}, **(OTHER if algorithm == "sft" else {})})
    usual = make_recipe({"algorithm": {"name": algorithm}}).model_dump()
    given = recipe.model_dump()
    for section, table in given.items():
        for key in table:
            if given[section][key] == usual[section][key] and f"{section}.{key}" != "algorithm.name":
                without(tmp_path / "run", recipe, f"{section}.{key}")
                same_recipe(recipe, tmp_path / "run")
    without(tmp_path / "run", recipe, "guard", "expected")
    same_recipe(recipe, tmp_path / "run")


def test_a_younger_key_with_another_value_is_named_with_its_default(tmp_path: Path) -> None:
    without(tmp_path / "run", make_recipe({}), "guard", "optim.micro_batch")
    with pytest.raises(UserError, match=r"guard\.action was 'off', is 'stop'") as error:
        same_recipe(make_recipe({"guard": {"action": "stop"}}), tmp_path / "run")
    assert "micro_batch" not in str(error.value)


def test_a_key_that_the_run_wrote_is_held_against_the_recipe(tmp_path: Path) -> None:
    without(tmp_path / "run", make_recipe({"optim": {"lr": 1e-3}}), "optim.micro_batch")
    with pytest.raises(UserError, match=r"optim\.lr was 0\.001"):
        same_recipe(make_recipe({}), tmp_path / "run")


def test_a_grid_goes_on_too(tmp_path: Path) -> None:
    (tmp_path / "grid.toml").write_text('[axes]\n"run.seed" = [0, 1]\n')
    grid = load_grid(tmp_path / "grid.toml")
    out = tmp_path / "out"
    for name, recipe in grid.runs.items():
        (out / "runs" / name).mkdir(parents=True)
        (out / "runs" / name / "manifest.json").write_text('{"status": "finished"}')
        without(out / "runs" / name, recipe, "task.heldout", "guard")
    (out / "grid.toml").write_text(grid.source)
    assert as_begun_in(grid, out) == grid


def test_a_base_is_known_again_whatever_keys_have_come_since() -> None:
    """Its name is made of what differs from the defaults, which no later key does."""
    assert base_key(make_recipe({})) == base_key(make_recipe({"model": {"dtype": "float32"}, "eval": {"samples": 1}}))
    assert base_key(make_recipe({})) != base_key(make_recipe({"model": {"dtype": "bfloat16"}}))


def test_a_server_may_have_moved(tmp_path: Path) -> None:
    """Its address is no part of the experiment; how it samples is."""
    begun = make_recipe({"rollout": {"engine": "vllm", "vllm_mode": "server", "vllm_server": "http://one:8000"}})
    without(tmp_path, begun)
    rollout = begun.rollout.model_copy(update={"vllm_server": "http://two:8000"})
    moved = begun.model_copy(update={"rollout": rollout})
    assert same_recipe(moved, tmp_path).rollout.vllm_server == "http://two:8000"
    warmer = begun.model_copy(update={"rollout": rollout.model_copy(update={"temperature": 0.7})})
    with pytest.raises(UserError, match="temperature was 1"):
        same_recipe(warmer, tmp_path)
