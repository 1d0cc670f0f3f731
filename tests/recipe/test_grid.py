"""A grid's axes: their product, and keys that vary together."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from stiefel.errors import UserError
from stiefel.recipe.grid import load_grid


def grid(place: Path, axes: str) -> Path:
    (place / "grid.toml").write_text(f"[axes]\n{axes}\n")
    return place / "grid.toml"


def test_keys_that_vary_together(tmp_path: Path) -> None:
    axes = '"run.seed" = [0, 1]\n"adapter.method, optim.lr" = [["lora", 3e-4], ["full", 3e-5]]'
    runs = load_grid(grid(tmp_path, axes)).runs
    assert list(runs) == ["seed0-lora-lr0.0003", "seed0-full-lr3e-05", "seed1-lora-lr0.0003", "seed1-full-lr3e-05"]
    found = {(one.run.seed, one.adapter.method, one.optim.lr) for one in runs.values()}
    assert found == {(seed, method, lr) for seed in (0, 1) for method, lr in (("lora", 3e-4), ("full", 3e-5))}


@pytest.mark.parametrize(
    ("axes", "words"),
    [
        ('"adapter.method, optim.lr" = ["lora", "full"]', "2 keys vary together"),
        ('"adapter.method, optim.lr" = [["lora", 3e-4, 1]]', "2 keys vary together"),
        ('"adapter.method, optim.rl" = [["lora", 3e-4]]', "unknown axis optim.rl"),
        ('"optim.lr" = [1e-3]\n"adapter.method, optim.lr" = [["lora", 3e-4]]', "optim.lr is varied twice"),
        ('"optim.lr, optim.lr" = [[1e-3, 1e-4]]', "optim.lr is varied twice"),
    ],
)
def test_mistakes_are_named(axes: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=words):
        load_grid(grid(tmp_path, axes))


PROFILED = """
[adapter]
method = "rlpo"

[optim]
lr = 1e-5

[profile.nano.optim]
lr = 3e-4

[profile.paper.model]
path = "org/model"
"""


@pytest.fixture
def profiled(tmp_path: Path) -> Path:
    """A directory with a recipe that has profiles."""
    (tmp_path / "recipe.toml").write_text(PROFILED)
    return tmp_path


def written(place: Path, top: str, axes: str = '"run.seed" = [0, 1]') -> Path:
    (place / "grid.toml").write_text(f"{top}\n[axes]\n{axes}\n")
    return place / "grid.toml"


NAMED = 'recipe = "recipe.toml"'


def test_a_grid_takes_the_profile_that_it_names(profiled: Path) -> None:
    runs = load_grid(written(profiled, f'{NAMED}\nprofile = "nano"')).runs
    assert {one.optim.lr for one in runs.values()} == {3e-4}
    (other,) = {one.model.path for one in load_grid(profiled / "grid.toml", profile="paper").runs.values()}
    assert other == "org/model", "the command's profile comes before the grid's"


def test_a_grid_of_a_table_with_profiles_takes_one_too(tmp_path: Path) -> None:
    top = 'profile = "nano"\n[recipe.optim]\nlr = 1e-5\n[recipe.profile.nano.optim]\nlr = 3e-4'
    assert {one.optim.lr for one in load_grid(written(tmp_path, top)).runs.values()} == {3e-4}


def test_a_recipes_profiles_are_not_dropped_in_silence(profiled: Path) -> None:
    with pytest.raises(UserError, match="names none of its recipe's profiles") as error:
        load_grid(written(profiled, NAMED))
    assert 'profile = "nano"' in error.value.instead
    assert {one.optim.lr for one in load_grid(profiled / "grid.toml", profile="nano").runs.values()} == {3e-4}
    none = load_grid(written(profiled, f'{NAMED}\nprofile = ""')).runs
    assert {one.optim.lr for one in none.values()} == {1e-5}, "asked for"


def test_an_axis_lies_over_the_profile(profiled: Path) -> None:
    runs = load_grid(written(profiled, f'{NAMED}\nprofile = "nano"', '"optim.lr" = [1e-4, 1e-3]')).runs
    assert [one.optim.lr for one in runs.values()] == [1e-4, 1e-3]


def test_changes_lie_over_the_profile_and_are_part_of_what_the_grid_is(profiled: Path) -> None:
    plain = load_grid(written(profiled, f'{NAMED}\nprofile = "nano"'))
    changed = load_grid(profiled / "grid.toml", ["optim.lr=2e-3", "adapter.options={}"])
    assert {one.optim.lr for one in changed.runs.values()} == {2e-3}
    assert plain.source == (profiled / "grid.toml").read_text()
    other = load_grid(profiled / "grid.toml", profile="paper")
    assert len({plain.source, changed.source, other.source}) == 3, "--resume with others would mix two grids"


@pytest.mark.parametrize(
    ("top", "axes", "changes", "profile", "words"),
    [
        (f'{NAMED}\nprofile = "nan"', '"run.seed" = [0]', [], "", "has no profile 'nan'"),
        (NAMED, '"run.seed" = [0]', [], "papre", "has no profile 'papre', nor has its recipe"),
        (f"{NAMED}\nprofile = 3", '"run.seed" = [0]', [], "", "profile = 3"),
        ("", '"run.seed" = [0]', [], "nano", "has no profile 'nano'"),
        ("recipe = 3", '"run.seed" = [0]', [], "", "recipe = 3"),
        ("", '"optim.lr" = [1e-4]', ["optim.lr=1"], "", "sets optim.lr, which"),
        ("", '"optim.lr" = [1e-4]', ["optim={lr=1}"], "", "sets optim.lr, which"),
        ("", '"adapter.options" = [{}]', ["adapter.options.sigma=divided"], "", "sets adapter.options, which"),
        ("", '"run.seed" = [0]', ["optim.rl=1"], "", "unknown key optim.rl"),
    ],
)
def test_mistakes_of_profiles_and_changes_are_named(
    top: str, axes: str, changes: list[str], profile: str, words: str, profiled: Path
) -> None:
    with pytest.raises(UserError, match=words):
        load_grid(written(profiled, top, axes), changes, profile)


def test_a_key_that_begins_like_an_axis_may_be_changed(profiled: Path) -> None:
    runs = load_grid(written(profiled, "", '"run.seed" = [0]'), ["run.save_every=5"]).runs
    assert {one.run.save_every for one in runs.values()} == {5}


OWN = """recipe = "recipe.toml"
[axes]
"run.seed" = [0, 1, 2]
"optim.lr" = [1e-4, 1e-3]
[profile.small.axes]
"optim.lr" = []
"run.seed" = [7]
"adapter.method" = ["lora", "rlmo"]
[profile.small.recipe.optim]
rollouts = 3
[profile.nano.axes]
"run.seed" = [0]
[profile.other]
recipe = "other.toml"
profile = ""
"""


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A grid with profiles of its own, of a recipe that has profiles."""
    (tmp_path / "recipe.toml").write_text(PROFILED.replace("paper", "small"))
    (tmp_path / "other.toml").write_text("[optim]\nrollouts = 5\n[profile.nano.optim]\nlr = 1.0\n")
    (tmp_path / "grid.toml").write_text(OWN)
    return tmp_path / "grid.toml"


def test_a_grids_own_profile_replaces_adds_and_drops_axes_and_lies_over_the_recipes(own: Path) -> None:
    """Of the recipe the profile of the same name is taken, where it has one."""
    small = load_grid(own, profile="small")
    assert list(small.runs) == ["seed7-lora", "seed7-rlmo"]
    assert {(one.optim.rollouts, one.model.path) for one in small.runs.values()} == {(3, "org/model")}
    nano = load_grid(own, profile="nano")
    assert list(nano.runs) == ["seed0-lr0.0001", "seed0-lr0.001"], "in its place, the others as they were"
    changed = load_grid(own, ["optim.rollouts=9"], "small")
    assert {one.optim.rollouts for one in changed.runs.values()} == {9}
    assert len({small.source, nano.source, changed.source}) == 3


def test_a_grids_own_profile_may_name_another_recipe_and_its_profile(own: Path) -> None:
    runs = load_grid(own, profile="other").runs
    assert {one.optim.rollouts for one in runs.values()} == {5}
    assert {one.optim.lr for one in runs.values()} == {1e-4, 1e-3}


def test_axes_that_vary_together_are_replaced_however_they_are_spaced(tmp_path: Path) -> None:
    (tmp_path / "grid.toml").write_text(
        '[axes]\n"adapter.method, optim.lr" = [["lora", 1e-3]]\n'
        '[profile.p.axes]\n"adapter.method,optim.lr" = [["full", 1]]\n'
    )
    assert list(load_grid(tmp_path / "grid.toml", profile="p").runs) == ["full-lr1"]


@pytest.mark.parametrize(
    ("text", "profile", "words"),
    [
        (OWN, "large", "no profile 'large', nor has its recipe"),
        (OWN, "large", "the grid has nano, other, small; the recipe has nano, small"),
        (OWN, "", "names none of its recipe's profiles"),
        (OWN + "[profile.small.optim]\nlr = 1", "nano", r"unknown key optim in \[profile.small\]"),
        (OWN + '[profile.more.axes]\n"run.sed" = []', "more", "names none of its recipe's profiles"),
        (OWN + '[profile.more]\nprofile = ""\naxes = 3', "more", "profile.more.axes = 3"),
        (OWN + '[profile.more]\nprofile = ""\naxes."run.sed" = []', "more", "drops run.sed, which is no axis"),
        (OWN + "[profile.more]\nprofile = 3", "more", r"profile = 3 in \[profile.more\]"),
        (OWN + '[profile.more]\nprofile = ""\nrecipe = 3', "more", "recipe = 3"),
        (OWN + '[profile.more]\nprofile = ""\nrecipe.profile.x.optim.lr = 1', "more", "has none itself"),
        ("profile.p = 3\n[axes]\n'run.seed' = [0]", "p", "profile = "),
        ("[axes]\n'run.seed' = []", "", "axis run.seed in .* has no value"),
        (
            "[axes]\n'run.seed' = [0]\n[profile.p.axes]\n'optim.lr' = 3",
            "p",
            "axis optim.lr = 3 in .* is no list of values",
        ),
        ("[axes]\n'optim.lr' = [1, 1.0]", "", "two points of .* are one run: lr1 and lr1.0"),
        ("[axes]\n'optim.lr' = [1, 1]", "", "two points of .* are both lr1"),
        ("[axes]\n'adapter.rank, adapter.alpha' = [[8, 16], [4, 8]]\n'adapter.path' = ['', '_']", "", "two points"),
    ],
)
def test_mistakes_of_a_grids_own_profiles_and_of_its_points_are_named(
    text: str, profile: str, words: str, own: Path
) -> None:
    own.write_text(text)
    with pytest.raises(UserError) as error:
        load_grid(own, profile=profile)
    assert re.search(words, str(error.value)), error.value
    assert error.value.instead
