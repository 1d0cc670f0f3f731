"""Training that could only meet rows without a score is refused before anything is sampled."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from stiefel.errors import UserError
from stiefel.model.weights import load_tokenizer
from stiefel.recipe.recipe import make_recipe
from stiefel.tasks import training_task
from stiefel.training.rows import training_rows

ASKS = {"prompt": "1?", "tests": "assert f(1) == 2"}
NOTHING: dict[str, dict[str, Any]] = {
    "an empty list": {"tests": []},
    "no cases": {"tests": {"inputs": [], "outputs": []}},
    "a blank assertion": {"tests": "assert True"},
    "no output": {"inputs": ["1"], "outputs": [""]},
}


def drawn(tmp_path: Path, rows: list[dict[str, Any]], reward: str) -> int:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    tables = {
        "task": {"data": str(path), "reward": reward},
        "optim": {"rollouts": 2, "lr": 1e-3},
        "rollout": {"prompts": 4, "completions": 4, "max_completion_tokens": 24},
    }
    recipe = make_recipe(tables)
    return len(training_rows(recipe, training_task(recipe.task), load_tokenizer("nano")))


@pytest.mark.parametrize("name", NOTHING)
def test_rows_whose_tests_ask_nothing_are_refused(name: str, tmp_path: Path) -> None:
    row = {"prompt": "2?", **NOTHING[name]}
    with pytest.raises(UserError, match="can be graded") as error:
        drawn(tmp_path, [row, row], "code")
    assert "8 rows drawn" in error.value.why
    assert drawn(tmp_path, [row, ASKS], "code") == 8  # one that asks is enough to learn from


def test_answers_that_are_no_choice_are_refused(tmp_path: Path) -> None:
    row = {"prompt": "1?", "choices": ["1", "2"], "answer": "E"}
    with pytest.raises(UserError, match="can be graded") as error:
        drawn(tmp_path, [row], "choice")
    assert "none of 2 choices" in error.value.why
    assert drawn(tmp_path, [row, {**row, "answer": "B"}], "choice") == 8
