"""Advice names what helps: the nearest name, the other command, the guard that was not there, what a word is here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from accelerate import PartialState
from torch import nn

import stiefel
from stiefel.cli import main
from stiefel.comparison import compare
from stiefel.errors import UserError, nearest
from stiefel.methods import METHODS
from stiefel.model import load_model
from stiefel.recipe import load_grid, load_recipe
from stiefel.recipe.recipe import make_recipe
from stiefel.run import begun
from stiefel.run.reaction import way_out
from stiefel.run.run import train
from stiefel.tasks import BENCHMARKS, find_task
from stiefel.training.processes import processes_started

NAMES = [method.name for method in METHODS] + [benchmark.name for benchmark in BENCHMARKS]
SHORT: dict[str, Any] = {
    "optim": {"rollouts": 1},
    "rollout": {"prompts": 2, "completions": 4, "max_completion_tokens": 8},
    "run": {"threads": 1},
}


@pytest.fixture(scope="module")
def nano() -> nn.Module:
    """The embedded model, which what is refused leaves as it is."""
    return load_model("nano")


@pytest.mark.parametrize("name", NAMES)
def test_neither_case_nor_the_marks_between_words_hide_a_name(name: str) -> None:
    others = {name.upper(), name.title(), name.replace("-", "_"), name.replace("_", "-"), name.replace("-", " ")}
    for written in others - {name}:
        assert nearest(written, NAMES) == f"did you mean {name}?"


def test_a_name_like_none_gets_the_list_and_a_mistyped_one_the_nearest() -> None:
    assert nearest("qqqqqq", ["lora", "rlpo"]) == "one of: lora, rlpo"
    assert nearest("RLPOO", ["lora", "rlpo"]) == "did you mean rlpo?"
    assert nearest("foo", ["olora", "rlpo"]) == "one of: olora, rlpo", "three letters in common are no likeness"


@pytest.mark.parametrize(
    ("tables", "words"),
    [
        ({"algorithm": {"name": "DAPO"}}, "did you mean dapo"),
        ({"algorithm": {"name": "Dr-GRPO"}}, "did you mean dr_grpo"),
        ({"model": {"dtype": "BFloat16"}}, "did you mean bfloat16"),
        ({"OPTIM": {"lr": 1e-3}}, "did you mean optim?"),
    ],
)
def test_a_recipes_words_whatever_their_case(tables: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError) as error:
        make_recipe(tables)
    assert words in error.value.instead


def test_a_task_or_method_whatever_its_case(nano: nn.Module) -> None:
    with pytest.raises(UserError, match="unknown task") as error:
        find_task("GSM8K")
    assert error.value.instead == "did you mean gsm8k?"
    with pytest.raises(UserError, match="unknown method") as error:
        stiefel.attach(nano, "RLPO+DoRA")
    assert error.value.instead == "did you mean rlpo?"


@pytest.mark.parametrize(
    ("keyword", "value", "words"),
    [
        ("rank", 8, "r=8 in stiefel.attach"),
        ("lora_r", 8, "r=8 in stiefel.attach"),
        ("lora_alpha", 16, "alpha=16 in stiefel.attach"),
        ("lora_dropout", 0.1, "dropout=0.1 in stiefel.attach"),
        ("targets", "q_proj", "target_modules='q_proj' in stiefel.attach"),
    ],
)
@pytest.mark.parametrize("method", ["rlpo", "pissa", "rlpo+dora"])  # without options of its own, and with some
def test_a_setting_by_another_librarys_name(method: str, keyword: str, value: Any, words: str, nano: nn.Module) -> None:
    with pytest.raises(UserError) as error:
        stiefel.attach(nano, method, **{keyword: value})
    assert words in error.value.instead
    assert "remove" not in str(error.value)


def test_a_misspelled_option_still_gets_the_nearest(nano: nn.Module) -> None:
    with pytest.raises(UserError) as error:
        stiefel.attach(nano, "pissa", sigm="divided")
    assert error.value.instead == "did you mean sigma?"


@pytest.mark.parametrize(
    ("tables", "there", "not_there"),
    [
        ({}, ["optim.lr", "guard.action = 'stop'"], ["larger"]),
        ({"guard": {"action": "stop", "kl_base": 0.1}}, ["optim.lr", "larger guard.kl_base", "'restore'"], ["'stop'"]),
        ({"guard": {"action": "stop"}}, ["optim.lr", "'restore'"], ["larger", "'stop'"]),
        ({"guard": {"action": "restore", "grad_norm": 1.0}}, ["6 times", "larger guard.grad_norm"], ["action"]),
        ({"algorithm": {"name": "sft"}}, ["optim.lr"], ["guard"]),
    ],
)
def test_a_run_that_went_wrong_is_not_told_to_do_what_it_did(
    tables: dict[str, Any], there: list[str], not_there: list[str]
) -> None:
    advice = way_out(make_recipe(tables))
    assert [word for word in there if word not in advice] == []
    assert [word for word in not_there if word in advice] == []


def test_a_guard_that_stopped_a_run_is_not_advised(tmp_path: Path) -> None:
    recipe = make_recipe({**SHORT, "guard": {"action": "stop", "grad_norm": 1e-9}})
    with pytest.raises(UserError, match=r"passed guard\.grad_norm") as error:
        train(recipe, tmp_path / "run")
    assert "or a guard" not in error.value.instead
    assert "larger guard.grad_norm" in error.value.instead


def test_recipe_and_grid_name_each_others_command(tmp_path: Path) -> None:
    recipe, grid = tmp_path / "recipe.toml", tmp_path / "grid.toml"
    recipe.write_text("[optim]\nlr = 1e-3\n[profile.fast.optim]\nlr = 1e-2\n")
    for text in ('recipe = "recipe.toml"\n[axes]\n"run.seed" = [0]\n', '[axes]\n"run.seed" = [0]\n', "[recipe.run]\n"):
        grid.write_text(text)
        with pytest.raises(UserError, match="is a grid") as error:
            load_recipe(grid)
        assert error.value.instead == f"stiefel compare {grid} --out DIR"
    with pytest.raises(UserError, match="is a recipe") as error:
        load_grid(recipe)
    assert error.value.instead == f"stiefel train {recipe} --out DIR"
    grid.write_text('[optim]\nlr = 1e-3\n[axes]\n"run.seed" = [0]\n')
    with pytest.raises(UserError, match="stands beside") as error:
        load_grid(grid)
    assert error.value.instead == "write [recipe.optim]"
    (tmp_path / "two.toml").write_text('recipe = "grid.toml"\n[axes]\n"run.seed" = [0]\n')
    grid.write_text('[axes]\n"optim.lr" = [1e-3]\n')
    with pytest.raises(UserError, match="is itself a grid"):
        load_grid(tmp_path / "two.toml")


def test_a_run_that_is_not_there_is_begun_by_the_function_and_said(tmp_path: Path) -> None:
    said: list[str] = []
    train(make_recipe(SHORT), tmp_path / "run", resume=True, progress=said.append)
    assert f"{tmp_path / 'run'} holds no run to go on with: beginning a new one" in said
    said.clear()
    train(make_recipe(SHORT), tmp_path / "run", resume=True, progress=said.append)
    assert said == [f"{tmp_path / 'run'} is finished"]


RESUMED = {
    "train": ["train", "recipe.toml"],
    "compare": ["compare", "grid.toml"],
    "eval": ["eval", "nano", "--task", "nano-sort"],
    "lm-eval": ["eval", "nano", "--task", "lm-eval:ifeval"],
}


@pytest.mark.parametrize("verb", RESUMED)
@pytest.mark.parametrize("there", ["nothing", "an empty directory", "another file"])
def test_there_is_nothing_to_resume(
    verb: str, there: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "recipe.toml").write_text("")
    (tmp_path / "grid.toml").write_text('[axes]\n"run.seed" = [0]\n')
    if there != "nothing":
        (tmp_path / "out").mkdir()
    if there == "another file":
        (tmp_path / "out" / "thesis.txt").write_text("precious")
    before = sorted(path.name for path in tmp_path.rglob("*"))
    with pytest.raises(SystemExit) as status:
        main([*RESUMED[verb], "--out", "out", "--resume"])
    said = capsys.readouterr().err
    assert status.value.code == 2, said
    assert f"error: nothing to resume in {tmp_path / 'out'}" in said
    assert "leave --resume out to begin there" in said
    assert sorted(path.name for path in tmp_path.rglob("*")) == before


def test_a_demo_is_begun_by_resume(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`make demo` is one command, the first time and after an interruption."""
    asked: list[tuple[Path, bool]] = []
    monkeypatch.setattr("stiefel.comparison.compare", lambda grid, out, **more: asked.append((out, more["resume"])))
    for name in ("write_report", "print_table", "run_warnings"):
        monkeypatch.setattr(f"stiefel.report.{name}", lambda *arguments, **more: [])
    with pytest.raises(SystemExit) as status:
        main(["demo", "--out", str(tmp_path / "demo"), "--resume"])
    assert status.value.code == 0
    assert asked == [(tmp_path / "demo", True)]


@pytest.mark.parametrize("name", ["OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MV2_COMM_WORLD_SIZE", "SLURM_STEP_NUM_TASKS"])
def test_a_launcher_that_torch_does_not_know_is_asked(name: str) -> None:
    assert processes_started({name: "2"}) == 2
    assert processes_started({name: "1"}) == 1
    assert processes_started({name: "4", "WORLD_SIZE": "16", "RANK": "3"}) == 16  # torchrun in each of four tasks


@pytest.mark.parametrize("name", ["RANK", "LOCAL_RANK", "MASTER_ADDR"])
def test_a_process_that_knows_of_others_and_not_how_many_is_refused(name: str) -> None:
    with pytest.raises(UserError, match=f"a launch with {name} = 1 and without WORLD_SIZE"):
        processes_started({name: "1"})
    assert processes_started({name: "1", "WORLD_SIZE": "1"}) == 1


@pytest.mark.parametrize("variables", [{"PMI_SIZE": "2"}, {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500"}])
def test_a_launch_that_would_train_alone_ends_at_once(
    variables: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(PartialState, "_shared_state", {})  # accelerate asks anew what was launched
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "recipe.toml").write_text("[optim]\nrollouts = 1\n")
    with pytest.raises(SystemExit) as status:
        main(["train", str(tmp_path / "recipe.toml"), "--out", str(tmp_path / "run")])
    assert status.value.code == 2
    assert "would train alone" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_make_demo_goes_on_where_it_was_interrupted() -> None:
    """As the message of an interruption says; a demo of another version is begun again by --force, which is named."""
    makefile = (Path(__file__).parents[2] / "Makefile").read_text()
    assert "stiefel demo --out demo --resume\n" in makefile


def test_a_grid_that_changed_names_the_way_to_begin_again(tmp_path: Path) -> None:
    (tmp_path / "grid.toml").write_text('[axes]\n"run.seed" = [0]\n')
    (tmp_path / "out" / "runs" / "seed7").mkdir(parents=True)
    (tmp_path / "out" / "runs" / "seed7" / "recipe.toml").write_text("[run]\nseed = 7\n")
    (tmp_path / "out" / "grid.toml").write_text("another")
    with pytest.raises(UserError) as error:
        compare(load_grid(tmp_path / "grid.toml"), tmp_path / "out", resume=True)
    assert "--force" in error.value.instead


def test_a_run_that_another_process_began_meanwhile_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where one command is started twice, without any launcher: the second one there is refused."""
    real = begun.load_pair

    def load(recipe: Any) -> Any:
        (tmp_path / "run").mkdir()
        (tmp_path / "run" / "manifest.json").write_text('{"status": "running"}')
        return real(recipe)

    monkeypatch.setattr(begun, "load_pair", load)
    with pytest.raises(UserError, match="was begun by another process meanwhile"):
        train(make_recipe(SHORT), tmp_path / "run")
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["manifest.json"]
