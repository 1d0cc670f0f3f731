"""The validation split: what it holds is never trained on, and is the same for every seed."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from stiefel.errors import UserError
from stiefel.recipe.recipe import make_recipe
from stiefel.tasks import Task, training_task, validation_task, without_validation
from stiefel.tasks.gym_rows import question_of
from stiefel.tasks.validation import is_validation

DATA = Path(os.environ.get("STIEFEL_DATA", ""))
GCD = {"name": "reasoning_gym:gcd", "options": {"max_value": 40}}
KINDS: dict[str, dict[str, Any]] = {
    "nano": {"name": "nano-arithmetic"},
    "the first rows of nano": {"name": "nano-arithmetic", "train_rows": 400},
    "reasoning-gym": GCD,
    "reasoning-gym as a chat": {**GCD, "chat": True},
    "a mixture": {"mixture": [GCD, {"name": "reasoning_gym:lcm", "options": {"max_value": 30}}]},
    "a file": {"name": "sums", "data": "sums.jsonl", "reward": "exact"},
    "a benchmark's file": {"name": "gsm8k", "data": str(DATA / "gsm8k_train_1000.jsonl")},
}


@pytest.fixture
def task(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Task:
    if request.param == "a benchmark's file" and not os.environ.get("STIEFEL_DATA"):
        pytest.skip("STIEFEL_DATA names no directory of data")
    monkeypatch.chdir(tmp_path)
    rows = [{"prompt": f"{n}+{n}?", "answer": str(2 * n)} for n in range(300)]
    (tmp_path / "sums.jsonl").write_text("".join(json.dumps(row) + "\n" for row in (*rows, *rows[:100])))
    return training_task(make_recipe({"task": KINDS[request.param]}).task)


@pytest.mark.parametrize("task", KINDS, indirect=True)
def test_no_question_of_the_split_is_trained_on(task: Task) -> None:
    asked = [question_of(row.prompt) for row in validation_task(task, 12).rows("test", 12, 0)]
    assert len(set(asked)) == 12
    assert asked[:5] == [question_of(row.prompt) for row in validation_task(task, 5).rows("test", 5, 1)]
    for seed in (0, 7):
        rest = without_validation(task, seed)
        rows = rest.rows("train", 600, seed)
        assert len(rows) == 600
        assert not {question_of(row.prompt) for row in rows} & set(asked)
        assert rest.rows("train", 40, seed) == rows[:40]
        assert rest.rows("train", 600, seed) != rest.rows("train", 600, seed + 1)


@pytest.mark.parametrize("task", ["the first rows of nano", "a file", "a benchmark's file"], indirect=True)
def test_a_finite_set_shrinks_by_the_split_and_each_pass_holds_the_rest_once(task: Task) -> None:
    rest = without_validation(task, 3)
    assert task.size is not None
    assert rest.size is not None
    every = task.rows("train", task.size, 3)
    left = sorted(str(row) for row in every if not is_validation(row.prompt))
    assert 0.8 * len(every) < len(left) == rest.size < len(every)
    rows = rest.rows("train", 2 * rest.size, 3)
    for found in (rows[: rest.size], rows[rest.size :]):
        assert sorted(map(str, found)) == left


@pytest.mark.parametrize("task", ["a file"], indirect=True)
def test_more_questions_than_there_are_is_an_error_that_says_how_many(task: Task) -> None:
    with pytest.raises(UserError) as error:
        validation_task(task, 300).rows("test", 300, 0)
    many = len({row.text for row in task.rows("train", 400, 0) if is_validation(row.prompt)})
    assert f"sums has {many} questions" in error.value.what
    assert str(many) in error.value.instead
    assert len(validation_task(task, many).rows("test", many, 0)) == many


@pytest.mark.parametrize("count", [-1, 0.5])
def test_what_is_no_number_of_questions_is_refused(count: float) -> None:
    with pytest.raises(UserError, match=r"eval\.validation"):
        make_recipe({"eval": {"validation": count}})


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"eval": {"defer": True}}, "without eval.validation"),
        ({"eval": {"defer": True, "validation": 5, "every": 1, "tasks": ["nano-sort"]}}, "eval.every"),
        ({"eval": {"defer": True, "validation": 5}, "rollout": {"engine": "vllm"}}, "rollout.engine"),
    ],
)
def test_a_test_that_could_not_be_measured_later_is_not_deferred(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(UserError) as error:
        make_recipe(changes)
    assert says in error.value.what
