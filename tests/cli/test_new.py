"""The files that `stiefel new` prints are whole, run as they are printed, and say what their keys mean."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest

import stiefel
from stiefel.artifacts import EVAL, read_json
from stiefel.cli import main
from stiefel.methods import METHODS
from stiefel.recipe import ALGORITHMS, load_grid, load_recipe
from stiefel.recipe.explained import keys
from stiefel.recipe.recipe import Recipe
from stiefel.rewards import EXAMPLE, reward_function
from stiefel.run import check_names, check_run
from stiefel.tasks import BENCHMARKS

SMALL = ["optim.rollouts=1", "rollout.prompts=2", "rollout.completions=4", "eval.limit=2"]


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """The exit status of a command, and what it said."""
    with pytest.raises(SystemExit) as status:
        main(list(arguments))
    said = capsys.readouterr()
    return int(status.value.code or 0), said.out, said.err


@pytest.fixture
def printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """printed(kind, …): the path of a file that holds what `stiefel new` printed."""

    def print_into(*words: str) -> Path:
        status, text, said = run(capsys, "new", *words)
        assert status == 0, said
        path = tmp_path / ("my_rewards.py" if words[0] == "reward" else "file.toml")
        path.write_text(text)
        return path

    return print_into


def test_the_printed_recipe_and_reward_train_as_they_are(printed, tmp_path, capsys, monkeypatch) -> None:
    path = printed("recipe", "--method", "rlpo", "--model", "nano")
    printed("reward")
    monkeypatch.chdir(tmp_path)
    changes = [word for change in SMALL for word in ("--set", change)]
    reward = ["--set", "task.reward=my_rewards:score"]
    status, _, said = run(capsys, "train", str(path), *changes, *reward, "--out", "run")
    assert status == 0, said
    assert set(read_json(tmp_path / "run" / EVAL)) >= {"nano-arithmetic", "nano-reverse", "nano-sort"}


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("model", ["nano", "some/model"])
def test_a_recipe_of_every_method_is_one_that_train_takes(algorithm, model, printed, tmp_path) -> None:
    """No key is written that the method or the algorithm leaves unread."""
    for method in METHODS:
        recipe = load_recipe(printed("recipe", "--method", method.name, "--model", model, "--algorithm", algorithm))
        assert (recipe.model.path, recipe.adapter.method, recipe.algorithm.name) == (model, method.name, algorithm)
        check_names(recipe)
        check_run(recipe, tmp_path / "run")


def test_every_task_with_rows_to_train_on_makes_a_recipe(printed) -> None:
    for task in BENCHMARKS:
        if task.hub is not None and task.hub.train:
            recipe = load_recipe(printed("recipe", "--model", "some/model", "--task", task.name))
            assert recipe.task.name == task.name
            check_names(recipe)


def test_every_key_stands_below_its_meaning_and_commented_keys_fit_too(printed) -> None:
    for model in ("nano", "some/model"):
        path = printed("recipe", "--model", model)
        for section, table in tomllib.loads(path.read_text()).items():
            for key in table:
                assert f"# {keys(Recipe)[f'{section}.{key}'].partition(' Default: ')[0]}\n" in path.read_text()
        proposed = [line for line in path.read_text().splitlines() if re.match(r"# \w+ = ", line)]
        path.write_text("\n".join(line[2:] if line in proposed else line for line in path.read_text().splitlines()))
        recipe = load_recipe(path)
        assert (recipe.task.reward, recipe.algorithm.dynamic_sampling) == ("my_rewards:score", True)
        assert recipe.optim.kl_cap == 1e-3
        assert len(proposed) == (2 if model == "nano" else 3)


def test_a_recipe_begins_with_lora_and_a_cap_on_its_step(printed) -> None:
    """What docs/which-method.md gives as the default."""
    recipe = load_recipe(printed("recipe"))
    assert (recipe.adapter.method, recipe.optim.lr, recipe.optim.kl_cap) == ("lora", 1e-3, 1e-3)
    supervised = load_recipe(printed("recipe", "--algorithm", "sft"))
    assert (supervised.optim.lr, supervised.optim.kl_cap) == (3e-4, 0)


def test_a_grid_is_methods_by_seeds_at_an_equal_kl_or_at_the_rates_that_it_names(printed) -> None:
    path = printed("grid", "--method", "lora,rlpo+dora,ia3")
    grid = load_grid(path)
    assert (grid.rate, len(grid.runs)) == ("kl", 3 * 3)
    assert {recipe.adapter.method for recipe in grid.runs.values()} == {"lora", "rlpo+dora", "ia3"}
    assert all(recipe.adapter.rank == 8 for recipe in grid.runs.values())
    text = path.read_text()
    (axis,) = re.findall(r'needs ("optim.lr" = \[.*\])\.', text)
    path.write_text(text.replace('rate = "kl"\n', "").replace("[axes]\n", f"[axes]\n{axis}\n"))
    assert len(load_grid(path).runs) == 3 * 2 * 3


def test_a_supervised_grid_has_rates(printed) -> None:
    grid = load_grid(printed("grid", "--method", "lora,rlpo", "--algorithm", "sft"))
    assert (grid.rate, len(grid.runs)) == ("", 2 * 2 * 3)


def test_the_reward_grades_and_lies_in_the_package(printed, tmp_path, capsys, monkeypatch) -> None:
    assert Path(stiefel.__file__).parent in EXAMPLE.parents
    printed("reward")
    monkeypatch.chdir(tmp_path)
    rows = [
        {"completion": "12+3>15", "answer": "15"},
        {"completion": "15 or 16", "answer": "15"},
        {"completion": "", "answer": "15"},
    ]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    status, text, said = run(capsys, "grade", "--task", "my_rewards:score", "--input", "rows.jsonl", "--json")
    assert status == 0, said
    assert [json.loads(line)["score"] for line in text.splitlines()] == [1.0, 0.0, 0.0]
    assert reward_function("my_rewards:score")("1" + " " * 99 + "15", "15", prompt="7+8?").score == 0.9


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["recipe", "--method", "rlop"], "rlpo"),
        (["recipe", "--algorithm", "grop"], "grpo"),
        (["recipe", "--model", "some/model", "--task", "gsm8"], "gsm8k"),
        (["recipe", "--model", "some/model", "--task", "math500"], "rows to train on"),
        (["recipe", "--task", "gsm8k"], "give --model"),
        (["recipe", "--task", "nano-arithmetik"], "nano-arithmetic"),
        (["grid", "--method", "lora,pisa"], "pissa"),
    ],
    ids=" ".join,
)
def test_a_mistake_is_answered_by_what_was_meant(words, meant, capsys) -> None:
    status, text, said = run(capsys, "new", *words)
    assert (status, text) == (2, "")
    assert meant in said
