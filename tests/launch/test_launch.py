"""A launch leaves a certified adapter, the recipe, what our hooks read, and the script last."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from stiefel.adapter import verify
from stiefel.artifacts import read_json
from stiefel.cli import main
from stiefel.errors import UserError
from stiefel.nano import NANO_PATH
from stiefel.recipe import load_recipe
from stiefel.verl import installed, ready
from stiefel.verl.failure import note_failure
from stiefel.verl.given import VARIABLE, read_given
from stiefel.verl.installed import in_words, require_verl, trouble
from stiefel.verl.launching import launch
from stiefel.verl.resumed import LATEST, checkpoint_at, keep_trained, latest_step, trained_with
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
    with pytest.raises(UserError, match=r"already exists[^$]*--force to replace"):
        launched(out)
    launched(out, "adapter.rank=4", "adapter.alpha=8", force=True)
    assert "lora_rank=4\n" in out.read_text()
    assert json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())["r"] == 4


LEAVINGS = ("checkpoints/latest_checkpointed_iteration.txt", "metrics-1.jsonl", "syncs.jsonl", "before/gsm8k/eval.json",
            "after/gsm8k/eval.json", "trained/stiefel.json", "reward-failure.txt")  # fmt: skip


@pytest.mark.parametrize("left", LEAVINGS)
def test_what_a_run_has_left_is_neither_taken_up_by_another_launch_nor_lost(left: str, tmp_path: Path) -> None:
    """verl goes on from the checkpoints that it finds, and the script measures what is not measured yet."""
    place = tmp_path / left
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text("4")
    for force in (False, True):  # no launch is there that could have left it
        with pytest.raises(UserError, match=r"already exists|was not left by a launch"):
            launched(tmp_path / "launch.sh", force=force)
    assert place.read_text() == "4"


def test_force_begins_anew(tmp_path: Path) -> None:
    out = launched(tmp_path / "run" / "launch.sh")
    fresh = sorted(path.name for path in out.parent.iterdir())
    for left in LEAVINGS:
        (out.parent / left).parent.mkdir(parents=True, exist_ok=True)
        (out.parent / left).write_text("4")
    out.unlink()
    with pytest.raises(UserError, match="already exists"):
        launched(out)
    launched(out, force=True)
    assert sorted(path.name for path in out.parent.iterdir()) == fresh


@pytest.mark.parametrize("name", ["recipe.toml", "verl.json"])
def test_a_users_own_file_beside_the_script_is_kept_even_with_force(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("{}")
    with pytest.raises(UserError, match="already exists") as refused:
        launched(tmp_path / "launch.sh")
    assert "--force" not in str(refused.value), "it would be refused"
    with pytest.raises(UserError, match="was not left by a launch"):
        launched(tmp_path / "launch.sh", force=True)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == "{}"


def test_a_launched_recipe_that_was_changed_is_kept_even_with_force(tmp_path: Path) -> None:
    out = launched(tmp_path / "launch.sh")
    text = (tmp_path / "recipe.toml").read_text() + "# mine\n"
    (tmp_path / "recipe.toml").write_text(text)
    with pytest.raises(UserError, match="was not left by a launch"):
        launched(out, force=True)
    assert (tmp_path / "recipe.toml").read_text() == text


def test_the_recipe_that_is_launched_is_never_written_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    launched(tmp_path / "launch.sh")
    kept = (tmp_path / "recipe.toml").read_bytes()
    with pytest.raises(SystemExit) as status:
        main(["launch", "verl", str(tmp_path / "recipe.toml"), "--out", str(tmp_path / "launch.sh"), "--force"])
    assert status.value.code == 2
    assert "recipe.toml lies where the launch writes" in capsys.readouterr().err
    assert (tmp_path / "recipe.toml").read_bytes() == kept


def test_an_adapter_that_is_trained_on_is_not_removed_by_force(tmp_path: Path) -> None:
    out = launched(tmp_path / "launch.sh")
    (tmp_path / "on.toml").write_text(f'[adapter]\npath = "{tmp_path}/adapter"\n')
    with pytest.raises(UserError, match="adapter lies where the launch writes"):
        launch(load_recipe(tmp_path / "on.toml", ON_ONE), "…", out, force=True, say=lambda line: None)
    assert all(check.holds for check in verify(tmp_path / "adapter", "nano"))


def test_a_launch_that_fails_at_its_adapter_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="rank"):
        launched(tmp_path / "a" / "b" / "launch.sh", "adapter.rank=500", "adapter.alpha=500")
    assert list(tmp_path.iterdir()) == []
    out = launched(tmp_path / "launch.sh")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(UserError, match="rank"):
        launched(out, "adapter.rank=500", "adapter.alpha=500", force=True)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


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


def test_what_the_docs_install_for_verl_is_what_was_tried() -> None:
    """No extra can: pip would have to find one transformers for both."""
    root = RECIPES.parent
    assert "verl" not in tomllib.loads((root / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    lock = [line.replace("_", "-") for line in (root / "requirements-verl.lock").read_text().splitlines()]
    assert f"verl=={in_words()}" in lock
    page = (root / "docs" / "verl.md").read_text()
    assert f'"verl[vllm]=={in_words()}"' in page
    (beside,) = [line for line in page.splitlines() if "--no-deps . " in line]
    pinned = beside.partition("--no-deps . ")[2].split()
    assert {"math-verify", "tomli-w"} <= {word.partition("==")[0] for word in pinned}
    assert set(pinned) <= set(lock)


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


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Of a launch that is about to start, as far as its checks."""
    launched(tmp_path / "launch.sh")
    monkeypatch.setattr(ready, "require_verl", lambda asked: None)
    monkeypatch.setenv(VARIABLE, str(tmp_path / "verl.json"))
    return tmp_path


def checkpointed(home: Path, step: int, world: int = 1, **changed: object) -> None:
    """A checkpoint as far as the check reads it, and verl's note of it."""
    place = checkpoint_at(home, step)
    place.mkdir(parents=True)
    keep_trained(place, read_json(home / "verl.json")["settings"] | changed, world)
    (home / "checkpoints" / LATEST).write_text(str(step))


def failed(home: Path, split: str) -> None:
    try:
        1 / 0  # noqa: B018
    except ZeroDivisionError:
        note_failure(home / "reward-failure.txt", split)


def test_a_start_goes_on_from_a_checkpoint_of_its_own(home: Path) -> None:
    ready.require_ready()
    checkpointed(home, 4)
    ready.require_ready()


def test_a_checkpoint_of_other_settings_is_refused_by_the_first_of_them(home: Path) -> None:
    """verl would take its optimizer and its schedule over without a word."""
    checkpointed(home, 4, **{"optim.lr": 0.5})
    with pytest.raises(UserError, match=r"was trained with optim.lr = 0.5, and this run has 0.0003"):
        ready.require_ready()


def test_a_checkpoint_of_other_processes_is_refused_before_a_shard_is_missed(home: Path) -> None:
    checkpointed(home, 4, world=2)
    with pytest.raises(UserError, match="was written by 2 processes, and these are 1"):
        ready.require_ready()


def test_where_and_how_a_run_is_seen_is_no_other_run() -> None:
    recipe, same = (load_recipe(NANO, [*ON_ONE, *more]) for more in ([], ["cluster.gpus=2", "run.save_every=3"]))
    assert trained_with(recipe) == trained_with(same)
    for change in ("optim.lr=1", "run.seed=1", "task.name=nano-sort", "rollout.prompts=4", "algorithm.beta=1"):
        assert trained_with(recipe) != trained_with(load_recipe(NANO, [*ON_ONE, change])), change


def test_a_recipe_that_was_changed_after_the_launch_is_noticed(home: Path) -> None:
    (home / "recipe.toml").write_text((home / "recipe.toml").read_text().replace("0.0003", "0.5"))
    with pytest.raises(UserError, match="was changed since the launch"):
        ready.require_ready()


def test_a_start_forgets_the_broken_reward_of_the_last(home: Path) -> None:
    checkpointed(home, 4)
    failed(home, "train")
    ready.require_ready()
    assert not (home / "reward-failure.txt").exists()


def test_a_checkpoint_that_was_trained_after_a_reward_failed_is_not_gone_on_from(home: Path) -> None:
    checkpointed(home, 4)
    failed(home, "train")
    checkpointed(home, 6)
    failed(home, "train")  # the first counts
    for _ in range(2):
        with pytest.raises(
            UserError, match="checkpoint 6 was trained after a reward had failed in rollout 5"
        ) as refused:
            ready.require_ready()
    assert "ZeroDivisionError: division by zero" in refused.value.why
    subprocess.run(["bash", "-c", refused.value.instead.removeprefix("mend the reward, and go back: ")], check=True)
    ready.require_ready()
    assert latest_step(home) == 4


def test_where_no_checkpoint_is_whole_the_launch_begins_anew(home: Path) -> None:
    failed(home, "train")
    checkpointed(home, 1)
    with pytest.raises(UserError, match="checkpoint 1 was trained after") as refused:
        ready.require_ready()
    assert "--force" in refused.value.instead


def test_a_measurement_that_failed_spoils_no_checkpoint_and_no_training_is_hidden_by_it(home: Path) -> None:
    failed(home, "eval")
    checkpointed(home, 4)
    ready.require_ready()
    failed(home, "eval")
    failed(home, "train")
    checkpointed(home, 5)
    with pytest.raises(UserError, match="checkpoint 5"):
        ready.require_ready()


def test_a_reward_that_fails_at_the_very_end_fails_the_script(home: Path) -> None:
    """No prompt is asked for after the last rollout, at which the data set would end the run."""
    words = [sys.executable, "-m", "stiefel.verl", "ended"]
    assert subprocess.run(words, check=True, capture_output=True).stderr == b""
    failed(home, "eval")
    ended = subprocess.run(words, capture_output=True, text=True)
    assert ended.returncode == 2
    assert "error: a reward has failed" in ended.stderr
    assert "division by zero" in ended.stderr


def test_a_script_that_is_started_by_hand_without_its_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ready, "require_verl", lambda asked: None)
    monkeypatch.delenv(VARIABLE, raising=False)
    with pytest.raises(UserError, match="STIEFEL_VERL = '' names no file"):
        ready.require_ready()
