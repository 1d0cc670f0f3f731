"""[cluster] is launch's alone: a run names what it leaves of it, and an older run goes on without it."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
import tomli_w

from stiefel.cli import main
from stiefel.recipe import left_to_launch, load_recipe
from stiefel.run.directory import same_recipe
from tests.verl.recipes import RECIPES

RLPO = RECIPES / "rlpo/main.toml"
SMALL = ("optim.rollouts=1", "eval.tasks=[]", "rollout.prompts=2", "rollout.completions=4", "run.kl_every=10")


def test_nothing_is_said_where_nothing_is_set() -> None:
    assert left_to_launch(load_recipe(RLPO, profile="nano")) == ""


def test_what_a_run_leaves_is_named_in_one_line() -> None:
    assert left_to_launch(load_recipe(RLPO, profile="paper")) == (
        "note: cluster.gpus = 8, cluster.offload = true, cluster.dynamic_batch = 16896 are for `stiefel launch`, and "
        "nothing here reads them"
    )


def test_train_names_it_and_trains(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [word for change in (*SMALL, "cluster.gpus=4") for word in ("--set", change)]
    with pytest.raises(SystemExit) as status:
        main(["train", str(RLPO), "--profile", "nano", *words, "--out", str(tmp_path / "run")])
    assert status.value.code == 0
    said = capsys.readouterr().err
    assert said.count("cluster.gpus = 4 is for `stiefel launch`") == 1


@pytest.mark.parametrize("known", [False, True])
def test_a_run_goes_on_whatever_its_recipe_says_of_the_cluster(known: bool, tmp_path: Path) -> None:
    recipe = load_recipe(RLPO, profile="paper")
    tables = tomllib.loads(recipe.to_toml())
    if known:
        tables["cluster"]["gpus"] = 2
    else:
        del tables["cluster"]
    (tmp_path / "recipe.toml").write_text(tomli_w.dumps(tables))
    assert same_recipe(recipe, tmp_path) == recipe
