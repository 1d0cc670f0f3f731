"""A launch leaves a certified adapter, the recipe, what our hooks read, and the script last."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from stiefel.adapter import verify
from stiefel.cli import main
from stiefel.errors import UserError
from stiefel.nano import NANO_PATH
from stiefel.recipe import load_recipe
from stiefel.verl import installed, ready
from stiefel.verl.given import read_given
from stiefel.verl.handed import VARIABLE
from stiefel.verl.installed import in_words, require_verl, trouble
from stiefel.verl.launching import launch
from tests.verl.recipes import ON_ONE, RECIPES

NANO = RECIPES / "nano/dapo.toml"


def launched(out: Path, *changes: str, force: bool = False) -> Path:
    return launch(load_recipe(NANO, [*ON_ONE, *changes]), "…", out, force=force, say=lambda line: None)


def test_the_command_prepares_the_adapter_beside_the_script(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "run" / "launch.sh"
    words = [word for change in ON_ONE for word in ("--set", change)]
    with pytest.raises(SystemExit) as status:
        main(["launch", "verl", str(NANO), *words, "--out", str(out)])
    said = capsys.readouterr()
    assert status.value.code == 0
    assert said.out == f"{out}\n"
    assert "note: verl is not installed here" in said.err  # a script may be written where there is none
    assert sorted(path.name for path in out.parent.iterdir()) == ["adapter", "launch.sh", "recipe.toml", "verl.json"]
    assert os.access(out, os.X_OK)
    assert all(check.holds for check in verify(out.parent / "adapter", "nano"))
    assert tomllib.loads((out.parent / "recipe.toml").read_text())["optim"]["lr"] == 3e-4


@pytest.mark.parametrize(("method", "rank", "alpha"), [("rlpo", 8, 16), ("pissa", 16, 32), ("lora+rslora", 8, 16)])
def test_rank_and_alpha_are_those_of_the_directory(method: str, rank: int, alpha: int, tmp_path: Path) -> None:
    out = launched(tmp_path / "launch.sh", f"adapter.method={method}")
    config = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    assert (config["r"], config["lora_alpha"], config["init_lora_weights"]) == (rank, alpha, True)
    text = out.read_text()
    assert f"actor_rollout_ref.model.lora_rank={rank}\n" in text
    assert f"actor_rollout_ref.model.lora_alpha={alpha}\n" in text
    told = json.loads((tmp_path / "verl.json").read_text())
    assert (told["rank"], told["alpha"], told["anchored"]) == (rank, alpha, method == "pissa")
    assert told["adapter"] == str(tmp_path / "adapter")
    assert told["weight_decay_on"] == "delta"


@pytest.mark.parametrize("dropout", [0.0, 0.05])
def test_the_directorys_dropout_is_the_recipes(dropout: float, tmp_path: Path) -> None:
    """It wins over verl's settings, so that a method would train with another than its baseline."""
    launched(tmp_path / "launch.sh", f"adapter.dropout={dropout}")
    assert json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())["lora_dropout"] == dropout
    assert all(check.holds for check in verify(tmp_path / "adapter", "nano"))


def test_an_adapter_that_lies_elsewhere_is_named_where_it_is(tmp_path: Path) -> None:
    launched(tmp_path / "first" / "launch.sh", "adapter.method=milora", "adapter.rank=4", "adapter.alpha=4")
    adapter = tmp_path / "first" / "adapter"
    recipe = tmp_path / "on.toml"
    recipe.write_text(f'[adapter]\npath = "{adapter}"\n')
    out = launch(load_recipe(recipe, ON_ONE), "…", tmp_path / "next" / "launch.sh", say=lambda line: None)
    assert f"ADAPTER={adapter}\n" in out.read_text()
    assert "actor_rollout_ref.model.lora_rank=8\n" in out.read_text()
    assert not (tmp_path / "next" / "adapter").exists()


def test_an_existing_launch_is_kept_and_replaced_with_force(tmp_path: Path) -> None:
    out = launched(tmp_path / "launch.sh")
    with pytest.raises(UserError, match="already exists"):
        launched(out)
    launched(out, "adapter.rank=4", "adapter.alpha=8", force=True)
    assert "lora_rank=4\n" in out.read_text()
    assert json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())["r"] == 4


def test_what_lies_here_is_handed_over_by_its_whole_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("rows.jsonl").write_text('{"prompt": "1+1?", "answer": "2"}\n')
    launched(tmp_path / "launch.sh", "task.name=own", "task.data=rows.jsonl", "task.reward=exact", "eval.tasks=[]")
    written = tomllib.loads((tmp_path / "recipe.toml").read_text())
    assert written["task"]["data"] == str(tmp_path / "rows.jsonl")
    assert written["model"]["path"] == "nano"


def test_a_directory_is_no_place_for_a_script(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is a directory") as refused:
        launched(tmp_path)
    assert refused.value.instead == f"give --out {tmp_path}/launch.sh"


@pytest.mark.parametrize("decay", ["delta", "factors"])
def test_the_plug_in_reads_what_verl_has_no_key_for(
    decay: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes = (f"optim.weight_decay_on={decay}", "adapter.dropout=0.05", "run.kl_every=7", "model.dtype=bfloat16")
    launched(tmp_path / "launch.sh", "adapter.method=pissa", *changes)
    monkeypatch.setenv(VARIABLE, str(tmp_path / "verl.json"))
    given = read_given()
    assert (given.weight_decay_on, given.dropout, given.kl_every) == (decay, 0.05, 7)
    assert (given.rollout_dtype, given.run) == ("bfloat16", str(tmp_path))


def test_a_launch_that_is_refused_leaves_nothing(tmp_path: Path) -> None:
    for changes in (["cluster.gpus=3"], ["adapter.method=ia3"], ["adapter.rank=100000"], ["task.name=nothing"]):
        with pytest.raises(UserError):
            launched(tmp_path / "run" / "launch.sh", *changes)
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_verls_command_line_would_read_otherwise_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds ' '"):
        launched(tmp_path / "my run" / "launch.sh")
    shutil.copytree(NANO_PATH, tmp_path / "my model")
    with pytest.raises(UserError, match="my model holds ' '"):
        launched(tmp_path / "launch.sh", f"model.path={tmp_path}/my model")
    with pytest.raises(UserError, match="holds '='"):
        launched(tmp_path / "lr=1" / "launch.sh")


def test_without_out_what_is_wrong_with_the_recipe_comes_first(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as status:
        main(["launch", "verl", str(NANO)])
    assert status.value.code == 2
    assert "rollout.engine = 'hf' for verl" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["launch", "verl", str(NANO), *(word for change in ON_ONE for word in ("--set", change))])
    assert "no --out was given" in capsys.readouterr().err


@pytest.mark.parametrize("found", ["0.9.0", "0.9.2", "0.10.0.dev0", "1.9.1", "unknown"])
def test_a_verl_that_was_not_tried_is_named_with_the_one_that_was(found: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installed, "version", lambda name: found)
    assert trouble(found) == f"verl {found} is installed"
    with pytest.raises(UserError, match=f"verl {found} is installed") as refused:
        require_verl("the script")
    assert "verl 0.9.1, the version that was tried" in refused.value.why
    assert 'pip install "verl[vllm]==0.9.1"' in refused.value.instead


def test_the_extra_is_the_version_that_was_tried() -> None:
    extras = tomllib.loads((RECIPES.parent / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert extras["verl"] == [f"verl[vllm]=={in_words()}"]
    assert f"verl=={in_words()}\n" in (RECIPES.parent / "requirements-verl.lock").read_text()


@pytest.mark.parametrize("found", ["0.9.1", "0.9.1+cu129", "0.9.1.post1"])
def test_the_verl_that_was_tried_is_taken(found: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installed, "version", lambda name: found)
    require_verl("the script")


def test_the_script_itself_names_a_verl_that_is_missing(tmp_path: Path) -> None:
    out = launched(tmp_path / "launch.sh", "model.path=nano")
    ended = subprocess.run(
        ["bash", str(out)], capture_output=True, text=True, env=os.environ | {"PATH": path_of_python()}
    )
    assert ended.returncode == 2
    assert "error: verl is not installed" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not list(tmp_path.glob("checkpoints"))


def path_of_python() -> str:
    import sys

    return f"{Path(sys.executable).parent}:{os.environ['PATH']}"


def test_an_adapter_that_was_exchanged_is_noticed_before_verl_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    launched(tmp_path / "one" / "launch.sh")
    launched(tmp_path / "other" / "launch.sh", "adapter.rank=4", "adapter.alpha=8")
    told = json.loads((tmp_path / "one" / "verl.json").read_text())
    (tmp_path / "one" / "verl.json").write_text(json.dumps(told | {"adapter": str(tmp_path / "other" / "adapter")}))
    monkeypatch.setattr(ready, "require_verl", lambda asked: None)
    monkeypatch.setenv(VARIABLE, str(tmp_path / "one" / "verl.json"))
    with pytest.raises(UserError, match="has rank 4 and alpha 8"):
        ready.require_ready()


def test_a_start_forgets_the_broken_reward_of_the_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    launched(tmp_path / "launch.sh")
    (tmp_path / "reward-failure.txt").write_text("broken")
    monkeypatch.setattr(ready, "require_verl", lambda asked: None)
    monkeypatch.setenv(VARIABLE, str(tmp_path / "verl.json"))
    ready.require_ready()
    assert not (tmp_path / "reward-failure.txt").exists()


def test_a_script_that_is_started_by_hand_without_its_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ready, "require_verl", lambda asked: None)
    monkeypatch.delenv(VARIABLE, raising=False)
    with pytest.raises(UserError, match="STIEFEL_VERL = '' names no file"):
        ready.require_ready()
