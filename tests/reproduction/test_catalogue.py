"""Every recipe of the papers has a name, every name a recipe, and a wheel holds them all."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from stiefel.errors import UserError
from stiefel.recipe import load_recipe, profile_names, read_toml
from stiefel.report.figures.registry import FIGURES
from stiefel.reproduction.catalogue import entries, find, recipes
from stiefel.reproduction.numbers import published_by_method
from stiefel.reproduction.work import find_work

ROOT = Path(__file__).parents[2]
NAMES = list(entries())


def test_names_and_recipes_are_the_same() -> None:
    """But for the protocols, which grids share and which reproduce nothing by themselves."""
    rooms = [recipes() / room for room in ("rlpo", "geora", "peft12")]
    files = {f"{room.name}/{path.stem}" for room in rooms for path in room.glob("*.toml")}
    assert {name for name in files if not name.partition("/")[2].startswith("protocol")} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_name_has_both_ends_of_its_scale_and_says_what_it_shows(name: str) -> None:
    entry, path = find(name)
    assert {"nano", "paper"} <= set(profile_names(path, own=True))
    assert entry.figure in {"", *(figure.name for figure in FIGURES)}
    assert "Figure" not in entry.what or (entry.figure and entry.shows)
    work = find_work(name, "nano")
    scores = [expected.of(method) for method, expected in published_by_method(work.published.values()).items()]
    if entry.order:
        assert sum(entry.order in score for score in scores) >= 2
    published = bool(scores) or (work.measure is not None and bool(work.measure.published))
    assert published or entry.shows, "numbers, or what was found in words"
    header = path.read_text().partition("\n\n")[0]
    assert ("Order: " in header) == bool(entry.order), "the header says where a direction is reproduced"


def test_a_grid_has_profiles_of_its_own_and_its_recipe_s() -> None:
    """Of a name its own alone: a protocol's other ones are no whole table."""
    _, path = find("rlpo/table4")
    assert profile_names(path, own=True) == ["nano", "paper"]
    assert profile_names(path) == ["nano", "paper", "smollm2"]
    with pytest.raises(UserError, match="it has nano, paper"):
        find_work("rlpo/table4", "smollm2")


def test_published_numbers_stand_in_the_papers_profile_alone() -> None:
    """A small model's report shows no number of another model beside its own."""
    for name in NAMES:
        if name.rpartition("/")[2] not in ("main", "table1"):
            assert all(not recipe.expected.scores for recipe in find_work(name, "nano").runs.values())


@pytest.mark.parametrize(
    ("name", "method", "task", "score"),
    [
        ("rlpo/table5", "rlmo", "mbpp", (0.4611, 0.0126)),
        ("rlpo/table6", "rlpo", "average", (0.3596, None)),
        ("rlpo/table8", "gaussian", "mrpc", (0.8652, 0.0025)),
        ("geora/methods", "geora", "ifeval", (0.5373, None)),
        ("geora/ablation", "geora_euclidean", "average", (0.2440, None)),
        ("geora/domains", "lora", "medqa", (0.7423, None)),
        ("peft12/main-1.5b", "dora", "amc23", (0.719, None)),
        ("peft12/main-7b", "lora_plus", "average", (0.555, None)),
    ],
)
def test_published_numbers(name: str, method: str, task: str, score: tuple[float, float | None]) -> None:
    found = published_by_method(find_work(name, "paper").runs.values())[method].of(method)[task]
    assert found.mean == pytest.approx(score[0])
    assert found.spread == (None if score[1] is None else pytest.approx(score[1]))


def test_supervised_training_ends() -> None:
    """Tasks that are made here have no last row: a profile that trains on them says how many it takes."""
    for name in ("rlpo/table8", "rlpo/fig11"):
        for profile in ("nano", "smollm2"):
            assert all(recipe.task.train_rows for recipe in find_work(name, profile).runs.values())


def test_geora_s_scores_are_those_of_its_main_recipe() -> None:
    main = load_recipe(recipes() / "geora" / "main.toml").expected.scores
    assert next(iter(find_work("geora/methods", "paper").runs.values())).expected.scores == main


def test_the_published_settings_of_other_models() -> None:
    seven = next(iter(find_work("rlpo/table6", "paper").runs.values()))
    assert (seven.model.path, seven.algorithm.name, seven.algorithm.beta) == ("Qwen/Qwen2.5-7B-Instruct", "grpo", 0.001)
    assert (seven.adapter.rank, seven.adapter.alpha, seven.optim.rollouts) == (32, 64, 150)
    assert (seven.rollout.prompts, seven.rollout.completions, seven.optim.lr) == (4, 8, 1e-5)
    sft = find_work("rlpo/table8", "paper").runs
    assert {one.run.seed for one in sft.values()} == {1, 42, 123}
    assert {(one.algorithm.epochs, one.algorithm.batch, one.optim.micro_batch) for one in sft.values()} == {(3, 32, 4)}
    assert {one.optim.lr for one in find_work("rlpo/fig10", "paper").runs.values()} == {1e-6, 1e-5, 1e-4}
    long = next(iter(find_work("peft12/main-7b", "paper").runs.values()))
    assert (long.optim.rollouts, long.rollout.prompts) == (8192, 4)


def test_protocols_are_the_main_recipes_without_what_was_published() -> None:
    """What stands twice stays the same: only the RLPO paper's schedule and GeoRA's options differ."""
    for room in ("rlpo", "geora", "peft12"):
        main = load_recipe(recipes() / room / "main.toml", profile="paper").model_dump(exclude={"expected", "eval"})
        shared = load_recipe(recipes() / room / "protocol.toml", profile="paper").model_dump(
            exclude={"expected", "eval"}
        )
        main["optim"].pop("schedule"), shared["optim"].pop("schedule")
        main["adapter"].pop("options"), shared["adapter"].pop("options")
        assert shared == main


def test_a_wheel_holds_the_recipes_and_finds_them(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=ROOT, check=True, capture_output=True,
    )  # fmt: skip
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    found = subprocess.run(
        [sys.executable, "-c", "from stiefel.reproduction.catalogue import recipes; print(recipes())"],
        cwd=tmp_path,
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "site")},
    ).stdout.strip()
    assert Path(found) == tmp_path / "site" / "stiefel" / "recipes"
    there = {path.relative_to(found) for path in Path(found).rglob("*.toml")}
    assert there == {path.relative_to(ROOT / "recipes") for path in (ROOT / "recipes").rglob("*.toml")}
    assert recipes() == ROOT / "recipes"
    assert read_toml(Path(found) / "rlpo" / "table1.toml") == read_toml(recipes() / "rlpo" / "table1.toml")
