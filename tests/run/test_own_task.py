"""A task of one's own is a task everywhere a built-in one is: in a run, an evaluation and a comparison."""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stiefel.artifacts import read_json
from stiefel.cli import main
from stiefel.comparison import compare
from stiefel.comparison.cells import base_key
from stiefel.errors import UserError
from stiefel.model.weights import load_model, load_tokenizer
from stiefel.recipe import load_grid
from stiefel.recipe.recipe import make_recipe
from stiefel.report.runs import read_runs
from stiefel.report.table import table
from stiefel.run.measurements import BEFORE, measure, same_questions, sampling_for, tasks_of
from stiefel.run.run import train

NUMBERS = itertools.count()
SHORT: dict[str, Any] = {
    "optim": {"rollouts": 1},
    "rollout": {"prompts": 2, "completions": 4, "max_completion_tokens": 16},
    "run": {"threads": 1},
}
CLOSE = "def close(completion, answer, *, level, **row):\n    return float(answer in completion)\n"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory to work in, with 20 rows to train on and 10 others."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    for name, numbers in (("sums.jsonl", range(20)), ("heldout.jsonl", range(20, 30))):
        rows = [{"prompt": f"{n}+1?", "answer": str(n + 1), "level": n} for n in numbers]
        (tmp_path / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path


@pytest.fixture
def reward(place: Path) -> Callable[..., str]:
    """reward(source, function): its name, in a module of its own."""

    def write(source: str = CLOSE, function: str = "close") -> str:
        module = f"own_task_{next(NUMBERS)}"
        (place / f"{module}.py").write_text(source)
        return f"{module}:{function}"

    return write


def tables(reward: str, **changes: Any) -> dict[str, Any]:
    """A short run on rows of one's own, measured on the held-out ones."""
    task = {"name": "my-sums", "data": "sums.jsonl", "reward": reward, "heldout": "heldout.jsonl"}
    return {**SHORT, "task": task, "eval": {"tasks": ["my-sums"]}, **changes}


def asked(recipe: Any) -> list[str]:
    """The prompts of the one task that a recipe measures."""
    (task,) = tasks_of(recipe)
    return [row.text for row in task.rows("test", 500, 0)]


def test_a_run_measures_its_own_task_on_rows_held_out(reward: Any, place: Path) -> None:
    said: list[str] = []
    train(make_recipe(tables(reward())), place / "run", progress=said.append)
    assert read_json(place / "run" / "eval.json")["my-sums"]["after"]["questions"] == 10
    assert not any(line.startswith("note:") for line in said)


def test_the_rows_that_are_measured(reward: Any) -> None:
    """The held-out file's; else those that train_rows leaves out; else those of the training, in their order."""
    name = reward()
    assert asked(make_recipe(tables(name))) == [f"{n}+1?" for n in range(20, 30)]
    task = {"name": "my-sums", "data": "sums.jsonl", "reward": name}
    assert asked(make_recipe(tables(name, task={**task, "train_rows": 15}))) == [f"{n}+1?" for n in range(15, 20)]
    assert asked(make_recipe(tables(name, task=task))) == [f"{n}+1?" for n in range(20)]
    assert "trained_on" in tasks_of(make_recipe(tables(name, task=task)))[0].origin("test")


def test_measuring_on_the_rows_of_the_training_is_said(reward: Any, place: Path) -> None:
    task = {"name": "my-sums", "data": "sums.jsonl", "reward": reward()}
    said: list[str] = []
    train(
        make_recipe(tables("", task=task, eval={"tasks": ["my-sums"], "limit": 3})), place / "run", progress=said.append
    )
    assert [line for line in said if "is measured on the rows that it is trained on" in line]
    assert read_json(place / "run" / "eval.json")["my-sums"]["after"]["questions"] == 3


def test_a_builtin_tasks_heldout_rows_are_of_its_columns(place: Path) -> None:
    (place / "gsm8k.jsonl").write_text('{"question": "1+1?", "answer": "two #### 2"}\n')
    task = {"name": "gsm8k", "heldout": "gsm8k.jsonl"}
    (found,) = tasks_of(make_recipe({"task": task, "eval": {"tasks": ["gsm8k"]}}))
    assert [row.answer for row in found.rows("test", 5, 0)] == ["2"]


def test_a_name_of_ours_stays_ours(reward: Any) -> None:
    """Rows of one's own under a built-in task's name are trained on; measured is what the name says."""
    mine = {"name": "nano-sort", "data": "sums.jsonl", "reward": reward()}
    (task,) = tasks_of(make_recipe({"task": mine, "eval": {"tasks": ["nano-sort"]}}))
    assert task.origin("test")["source"] == "built in"
    with pytest.raises(UserError, match="is set for rows of your own with the name nano-sort"):
        tasks_of(make_recipe({"task": {**mine, "heldout": "heldout.jsonl"}, "eval": {"tasks": ["nano-sort"]}}))


@pytest.mark.parametrize(
    ("task", "words"),
    [
        (
            {"name": "my-sums", "data": "sums.jsonl", "reward": "exact", "heldout": "nowhere.jsonl"},
            "no data at nowhere",
        ),
        ({"name": "nano-sort", "heldout": "heldout.jsonl"}, "nano-sort takes no data"),
        ({"name": "my-sums", "data": "sums.jsonl"}, "without task.reward"),
        ({"name": "my-sums"}, "unknown task 'my-sums'"),
    ],
)
def test_held_out_rows_that_cannot_be_are_refused(task: dict[str, str], words: str, place: Path) -> None:
    recipe = make_recipe({**SHORT, "task": task, "eval": {"tasks": [task["name"]]}})
    with pytest.raises(UserError, match=words):
        train(recipe, place / "run")
    assert not (place / "run").exists()


def test_held_out_rows_that_nothing_measures_are_refused(place: Path) -> None:
    with pytest.raises(UserError, match=r"without my-sums among eval\.tasks"):
        make_recipe({"task": {"name": "my-sums", "data": "sums.jsonl", "heldout": "heldout.jsonl"}})


def test_a_mistyped_name_of_ones_own_task_gets_the_nearest(reward: Any) -> None:
    task = {"name": "my-sums", "data": "sums.jsonl", "reward": reward()}
    with pytest.raises(UserError) as error:
        tasks_of(make_recipe({"task": task, "eval": {"tasks": ["my_sum"]}}))
    assert "did you mean my-sums" in error.value.instead


def test_a_functions_name_is_a_tasks_name_too(reward: Any) -> None:
    name = reward()
    task = {"name": name, "data": "sums.jsonl", "heldout": "heldout.jsonl"}
    (found,) = tasks_of(make_recipe({"task": task, "eval": {"tasks": [name]}}))
    assert (found.name, found.grader("so 21", "21", level=1).score) == (name, 1.0)


def test_supervised_training_measures_its_own_task_by_its_reward(reward: Any, place: Path) -> None:
    own = tables(reward(), algorithm={"name": "sft", "batch": 4}, rollout={"max_completion_tokens": 16})
    del own["optim"]
    train(make_recipe(own), place / "run")
    assert read_json(place / "run" / "eval.json")["my-sums"]["after"]["questions"] == 10
    with pytest.raises(UserError, match=r"task\.reward is set for sft"):
        make_recipe({**own, "task": {**own["task"], "heldout": ""}, "eval": {}})


def test_in_its_own_way_a_task_is_asked_once_with_as_many_tokens_as_fit(reward: Any) -> None:
    recipe = make_recipe(tables(reward(), eval={"tasks": ["my-sums"], "sampling": "task"}))
    (task,) = tasks_of(recipe)
    sampling = sampling_for(recipe, task, load_tokenizer("nano"))
    longest = max(len(load_tokenizer("nano")(row.text)["input_ids"]) for row in task.rows("test", 10, 0))
    assert (sampling.samples, sampling.max_tokens) == (1, 256 - longest)


def test_questions_that_changed_since_the_base_was_measured_are_refused(reward: Any, place: Path) -> None:
    recipe = make_recipe(tables(reward()))
    tokenizer, tasks = load_tokenizer("nano"), tasks_of(recipe)
    samples = measure(recipe, load_model("nano"), tokenizer, BEFORE, lambda line: None, tasks)
    same_questions(recipe, tasks, tokenizer, samples)
    lines = (place / "heldout.jsonl").read_text().splitlines(keepends=True)
    same_questions(recipe, tasks, tokenizer, samples)  # read before, asked again
    for changed in (lines[:-1], [*lines[:-1], lines[-1].replace('"30"', '"31"')]):
        (place / "heldout.jsonl").write_text("".join(changed))
        with pytest.raises(UserError, match="measured on other questions of my-sums"):
            same_questions(recipe, tasks_of(recipe), tokenizer, samples)


def test_a_comparison_has_figures_for_ones_own_task(reward: Any, place: Path) -> None:
    name = reward()
    (place / "grid.toml").write_text(
        f'[recipe.task]\nname = "my-sums"\ndata = "sums.jsonl"\nreward = "{name}"\nheldout = "heldout.jsonl"\n'
        '[recipe.eval]\ntasks = ["my-sums"]\n[recipe.optim]\nrollouts = 1\n[recipe.run]\nthreads = 1\n'
        "[recipe.rollout]\nprompts = 2\ncompletions = 4\nmax_completion_tokens = 16\n"
        '[axes]\n"run.seed" = [0]\n'
    )
    compare(load_grid(place / "grid.toml"), place / "out")
    (row,) = table(read_runs(place / "out"))
    assert row.tasks["my-sums"].after.questions == 10


def test_bases_are_shared_by_runs_with_the_same_questions_alone(reward: Any) -> None:
    """And a task that is not measured tells two bases from each other as little as before."""
    name, other = reward(), reward()
    assert base_key(make_recipe(tables(name))) != base_key(make_recipe(tables(other)))
    elsewhere = {"tasks": ["nano-sort"]}
    without = {key: value for key, value in tables(name)["task"].items() if key != "heldout"}
    first = make_recipe(tables(name, task=without, eval=elsewhere))
    second = make_recipe(tables(name, task={**without, "reward": other}, eval=elsewhere))
    assert base_key(first) == base_key(second)


def command(capsys: pytest.CaptureFixture[str], *arguments: str, status: int = 0) -> str:
    """What a command prints on stderr."""
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    printed = capsys.readouterr()
    assert ended.value.code in (status, None), printed.err
    return printed.err


def test_eval_asks_rows_of_ones_own_by_a_function(reward: Any, place: Path, capsys: Any) -> None:
    name = reward()
    command(capsys, "eval", "nano", "--task", name, "--data", "heldout.jsonl", "--limit", "4", "--out", "out")
    settings = read_json(place / "out" / "manifest.json")
    assert settings["questions"]["count"] == 4
    assert settings["sampling"]["samples"] == 1
    assert settings["sampling"]["max_tokens"] > 200
    assert read_json(place / "out" / "eval.json")["scores"]["avg@1"]["questions"] == 4


def test_eval_takes_columns_by_name_and_every_grader(place: Path, capsys: Any) -> None:
    (place / "other.jsonl").write_text('{"question": "1+1?", "gold": {"value": 2}}\n')
    columns = ("--prompt-column", "question", "--answer-column", "gold.value", "--max-tokens", "8")
    for grader in ("exact", "math", "dapo"):
        command(capsys, "eval", "nano", "--task", grader, "--data", "other.jsonl", *columns, "--out", f"out-{grader}")
        assert read_json(place / f"out-{grader}" / "manifest.json")["sampling"]["max_tokens"] == 8
    printed = command(
        capsys, "eval", "nano", "--task", "svamp", "--data", "other.jsonl", *columns, "--out", "o", status=2
    )
    assert "columns of one's own are named for svamp" in printed
    assert "its rows" not in command(capsys, "eval", "nano", "--task", "exact", "--out", "o", status=2)


def test_eval_refuses_a_reward_that_raises_before_the_model_is_loaded(
    reward: Any, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = reward("def close(completion, answer, **row):\n    return {}['x']\n")
    monkeypatch.setattr("stiefel.evaluation.directory.load_subject", lambda subject: pytest.fail("loaded"))
    printed = command(capsys, "eval", "nano", "--task", name, "--data", "heldout.jsonl", "--out", "out", status=2)
    assert f"{name.partition(':')[0]}.py, line 2" in printed
    assert not Path("out").exists()


WITHOUT_OUT = {
    "a reward that raises": ("def close(completion, answer):\n    return {}['x']\n", 4, "MODULE.py, line 2"),
    "a reward that returns nothing": ("def close(completion, answer):\n    pass\n", 4, "MODULE.py, line 1"),
    "a reward that asks for another column": (
        "def close(completion, answer, levl):\n    pass\n",
        4,
        "MODULE.py, line 1",
    ),
    "a row without an answer": (CLOSE, None, "row 2 of rows.jsonl has no answer"),
}


@pytest.mark.parametrize("case", WITHOUT_OUT)
@pytest.mark.parametrize("verb", ["eval", "show", "train"])
def test_what_is_wrong_with_a_task_is_said_without_a_directory_too(
    verb: str, case: str, reward: Any, place: Path, capsys: Any
) -> None:
    source, answer, words = WITHOUT_OUT[case]
    name = reward(source)
    rows = [{"prompt": "1+1?", "answer": 2, "level": 1}, {"prompt": "2+2?", "answer": answer, "level": 1}]
    (place / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (place / "recipe.toml").write_text(f'[task]\nname = "mine"\ndata = "rows.jsonl"\nreward = "{name}"\n')
    asked = ["eval", "nano", "--task", name, "--data", "rows.jsonl"]
    words = words.replace("MODULE", name.partition(":")[0])
    arguments = {"eval": asked, "show": [*asked, "--show", "2"], "train": ["train", "recipe.toml"]}[verb]
    assert words in command(capsys, *arguments, status=2)


@pytest.mark.parametrize("verb", ["eval", "train"])
def test_with_nothing_wrong_it_is_the_directory_that_is_missing(
    verb: str, reward: Any, place: Path, capsys: Any
) -> None:
    name = reward()
    (place / "recipe.toml").write_text(f'[task]\nname = "mine"\ndata = "sums.jsonl"\nreward = "{name}"\n')
    asked = ["eval", "nano", "--task", name, "--data", "heldout.jsonl"]
    assert "no --out was given" in command(capsys, *{"eval": asked, "train": ["train", "recipe.toml"]}[verb], status=2)
    assert {path.suffix for path in place.iterdir()} <= {".jsonl", ".py", ".toml", ""}
