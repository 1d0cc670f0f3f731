"""`eval.validation`: a run measures questions of its own task that it does not train on, and says so apart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from stiefel.artifacts import read_json, read_jsonl
from stiefel.errors import UserError
from stiefel.recipe.recipe import make_recipe
from stiefel.run import measure_test, train, trained_task
from stiefel.run.questions import questions_of, validation_of
from stiefel.tasks import training_task
from stiefel.tasks.validation import is_validation

SPLIT = "validation of nano-arithmetic"
SHORT: dict[str, Any] = {
    "optim": {"rollouts": 3, "lr": 1e-3},
    "rollout": {"prompts": 2, "completions": 4, "max_completion_tokens": 16},
    "run": {"threads": 1, "save_every": 1, "samples_every": 1},
    "eval": {"tasks": ["nano-sort"], "limit": 4, "validation": 4, "every": 1},
}


class Ended(Exception):
    """What stands for a kill."""


def end_at_the_second(row: dict[str, Any]) -> None:
    if row["step"] == 2:
        raise Ended


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("whole") / "run"
    train(make_recipe(SHORT), out)
    return out


def test_a_run_with_a_split_that_is_interrupted_ends_in_the_same_bits(whole: Path, tmp_path: Path) -> None:
    with pytest.raises(Ended):
        train(make_recipe(SHORT), tmp_path / "run", on_row=end_at_the_second)
    train(make_recipe(SHORT), tmp_path / "run", resume=True)
    for file in ("samples.jsonl", "eval.json", "validation.json", "adapter/adapter_model.safetensors"):
        assert (tmp_path / "run" / file).read_bytes() == (whole / file).read_bytes(), file


def test_its_scores_stand_apart_and_choose_the_best_adapter(whole: Path) -> None:
    assert read_json(whole / "eval.json").keys() == {"nano-sort"}
    scores = read_json(whole / "validation.json")[SPLIT]
    way = {**scores["during"], "after": scores["after"]}
    assert list(way) == ["rollout 1", "rollout 2", "after"]
    best = max(way, key=lambda when: way[when]["mean"])
    assert read_json(whole / "manifest.json")["best"] == {"when": best, "score": way[best]["mean"]}
    rows = read_jsonl(whole / "samples.jsonl")
    trained = {row["prompt"] for row in rows if row["when"].startswith("training")}
    asked = {row["prompt"] for row in rows if row["task"] == SPLIT}
    assert len(asked) == 4
    assert all(is_validation(prompt) for prompt in asked)
    assert not any(is_validation(prompt) for prompt in trained)


def test_without_a_split_the_rows_are_those_of_the_task(whole: Path) -> None:
    recipe = make_recipe(SHORT)
    plain = recipe.model_copy(update={"eval": recipe.eval.model_copy(update={"validation": 0})})
    every = training_task(recipe.task).rows("train", 40, 0)
    assert trained_task(plain).rows("train", 40, 0) == every != trained_task(recipe).rows("train", 40, 0)


def test_questions_that_are_too_long_to_be_trained_on_are_not_asked() -> None:
    short = {"rollout": {**SHORT["rollout"], "max_prompt_tokens": 8, "truncate": "drop"}}
    asked, kept = (
        [row.prompt for row in questions_of(recipe, validation_of(recipe))]
        for recipe in (make_recipe(SHORT), make_recipe({**SHORT, **short}))
    )
    assert len(asked) == len(kept) == 4
    assert max(map(len, kept)) <= 7 < max(map(len, asked)), "a token a character, beside the first"


def test_supervised_training_has_a_split_too_and_its_test_afterwards(tmp_path: Path) -> None:
    run = {key: value for key, value in SHORT["run"].items() if key != "samples_every"}
    recipe = make_recipe(
        {
            "task": {"train_rows": 60},
            "algorithm": {"name": "sft"},
            "rollout": {"max_completion_tokens": 40},
            "run": run,
            "eval": {"tasks": ["nano-sort"], "limit": 4, "validation": 3, "defer": True},
        }
    )
    train(recipe, tmp_path / "run")
    assert read_json(tmp_path / "run" / "validation.json")[SPLIT]["after"]["questions"] == 3
    assert read_json(tmp_path / "run" / "eval.json") == {}
    measure_test(tmp_path / "run")
    assert read_json(tmp_path / "run" / "eval.json")["nano-sort"]["after"]["questions"] == 4


def test_the_test_of_an_unfinished_run_is_not_measured(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not finished"):
        measure_test(tmp_path)
