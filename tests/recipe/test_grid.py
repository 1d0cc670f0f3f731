"""A grid's axes: their product, and keys that vary together."""

from __future__ import annotations

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
        (NAMED, '"run.seed" = [0]', [], "papre", "has no profile 'papre'"),
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


OWN = 'recipe = "recipe.toml"\n[axes]\n"run.seed" = [0, 1]\n"adapter.method" = ["lora", "rlpo"]\n'


def test_a_grid_s_own_profile_lies_over_its_axes_and_its_recipe(profiled: Path) -> None:
    """An axis keeps its place, an empty list leaves one out, a new one comes last; the recipe's profile applies too."""
    more = '[profile.nano.axes]\n"run.seed" = []\n"adapter.method" = ["pissa"]\n"adapter.rank" = [2, 4]\n'
    (profiled / "grid.toml").write_text(OWN + more + "[profile.nano.recipe.optim]\nrollouts = 3\n[profile.paper]\n")
    nano = load_grid(profiled / "grid.toml", profile="nano").runs
    assert list(nano) == ["pissa-rank2", "pissa-rank4"]
    assert {(one.optim.lr, one.optim.rollouts) for one in nano.values()} == {(3e-4, 3)}
    paper = load_grid(profiled / "grid.toml", profile="paper").runs
    assert list(paper) == ["seed0-lora", "seed0-rlpo", "seed1-lora", "seed1-rlpo"]
    assert {one.model.path for one in paper.values()} == {"org/model"}


@pytest.mark.parametrize(
    ("more", "profile", "words"),
    [
        ("[profile.small]\n", "smal", "has small, and .*recipe.toml has nano, paper"),
        ("[profile.small]\n", "", "is given without a profile"),
        ("[profile.small.optim]\nlr = 1.0\n", "small", r"profile.small.recipe.optim"),
        ('[profile.small.axes]\n"optim.rl" = [1]\n', "small", "unknown axis optim.rl"),
        ('[profile.small]\n[measure]\nkind = "norm"\n', "small", "kind"),
        (
            '[profile.small]\n[measure]\nkind = "scores"\npublished = { lora = { average = "x" } }\n',
            "small",
            "published",
        ),
    ],
)
def test_mistakes_of_a_grid_s_own_profiles_are_named(more: str, profile: str, words: str, profiled: Path) -> None:
    (profiled / "grid.toml").write_text(OWN + more)
    with pytest.raises(UserError, match=words):
        load_grid(profiled / "grid.toml", profile=profile)


def test_a_profile_of_the_grid_alone_needs_none_of_the_recipe(profiled: Path) -> None:
    (profiled / "grid.toml").write_text(OWN + '[profile.small.axes]\n"run.seed" = []\n')
    assert list(load_grid(profiled / "grid.toml", profile="small").runs) == ["lora", "rlpo"]
