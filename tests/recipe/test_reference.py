"""What is said of each key, its example and where it is refused, is what reading a recipe does."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import get_args

import pytest

from stiefel.errors import UserError
from stiefel.recipe import Key, find_keys, grid_keys, load_grid, recipe_keys
from stiefel.recipe.explained import keys
from stiefel.recipe.grid import GRID_KEYS, RATES
from stiefel.recipe.measured import Kind, MeasureSettings
from stiefel.recipe.recipe import Recipe, make_recipe

ALL = recipe_keys()
SETTABLE = [key for key in ALL if key.settable]


def other(key: Key) -> object:
    """A value of a key that is not its default."""
    name, value = next(iter(tomllib.loads(key.example).items()))
    default = tomllib.loads(f"{name} = {key.default}")[name]
    if value != default:
        return value
    return 0.5 if isinstance(value, float) else value + 2 if isinstance(value, int) else f"{value}2"


def refused(key: Key, **beside: dict[str, object]) -> str:
    """Why a recipe with another value of this key is refused as one that nothing reads; nothing if it is not."""
    section, _, name = key.name.partition(".")
    tables = {**beside, section: {**beside.get(section, {}), name: other(key)}}
    try:
        make_recipe(tables)
    except UserError as error:
        return error.what if " is set " in error.what else ""
    return ""


def test_every_key_is_there_with_an_example_that_fits() -> None:
    assert {key.name for key in SETTABLE} == set(keys(Recipe))
    for key in ALL:
        value = tomllib.loads(key.example)
        gcd = {"name": "reasoning_gym:gcd"}
        Recipe.model_validate(
            {"task": {"mixture": [gcd | value]}} if key.section == "task.mixture" else {key.section: value}
        )
        assert key.meaning.endswith(".")


@pytest.mark.parametrize("key", SETTABLE, ids=lambda key: key.name)
def test_a_key_is_refused_exactly_where_it_says(key: Key) -> None:
    notes = " ".join(key.notes)
    if key.name not in ("algorithm.name", "rollout.engine", "eval.sampling"):
        if "refused with sft" in notes:
            assert refused(key, algorithm={"name": "sft"})
        elif "refused except with sft" in notes:
            assert refused(key, algorithm={"name": "dapo"})
            assert not refused(key, algorithm={"name": "sft"})
        elif "rollout.engine" not in notes:
            assert not refused(key, algorithm={"name": "sft"})
    if key.name != "adapter.path":
        assert bool(refused(key, adapter={"path": "somewhere"})) == (
            any(word in notes for word in ("beside adapter.path", "refused except with sft", "rollout.engine"))
        )
    if "rollout.engine" in notes:
        assert not refused(key, rollout={"engine": "vllm"})
    if key.section == "eval" and key.name != "eval.sampling":
        assert bool(refused(key, eval={"sampling": "task"})) == ("eval.sampling" in notes)


def test_a_key_is_found_by_its_name_its_last_word_or_its_table() -> None:
    assert [key.name for key in find_keys("optim.lr")] == ["optim.lr"]
    assert [key.name for key in find_keys("top_p")] == ["rollout.top_p", "eval.top_p"]
    assert {key.name for key in find_keys("[guard]")} == {"guard.action", "guard.kl_base", "guard.grad_norm"}
    assert [key.name for key in find_keys("recipe.optim.lr")] == ["optim.lr"]
    assert find_keys("grid") == grid_keys()
    for name, meant in (("optim.lrr", "optim.lr"), ("klcap", "kl_cap"), ("axis", "axes"), ("gard", "guard")):
        with pytest.raises(UserError) as error:
            find_keys(name)
        assert meant in error.value.instead


def test_the_keys_of_a_measure_are_known_and_fit() -> None:
    found = {key.name: key for key in find_keys("measure")}
    assert list(found) == ["measure", *(f"measure.{name}" for name in MeasureSettings.model_fields)]
    assert not any(key.settable for key in grid_keys())  # --set is of the recipe
    inner = [key for key in found.values() if key.section]
    MeasureSettings.model_validate({name: value for key in inner for name, value in tomllib.loads(key.example).items()})
    assert inner[0].choices == get_args(Kind)


def test_values_of_a_grids_keys_stand_in_quotes_and_its_profiles_are_told() -> None:
    (rate,), (profile,) = find_keys("rate"), find_keys("profile")
    for name in RATES:
        assert f'"{name}"' in rate.meaning
        assert f'"{name}"' in " ".join(rate.notes)
    assert "[profile.NAME]" in profile.meaning


def test_the_examples_of_a_grid_make_one(tmp_path: Path) -> None:
    (tmp_path / "dapo.toml").write_text("[profile.nano.optim]\nrollouts = 2\n")
    above = "\n".join(facts[-1] for name, facts in GRID_KEYS.items() if name != "axes")
    (tmp_path / "grid.toml").write_text(f"{above}\n[axes]\n{GRID_KEYS['axes'][-1]}\n")
    grid = load_grid(tmp_path / "grid.toml")
    assert (grid.rate, len(grid.runs)) == ("kl", 2)
