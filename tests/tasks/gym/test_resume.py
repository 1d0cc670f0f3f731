"""A run on a mixture of the package's tasks that is killed and resumed ends as one that was left alone."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from stiefel.artifacts import read_jsonl
from stiefel.recipe.recipe import make_recipe
from stiefel.run.run import finished, train
from tests.run.kills import start

CLOCK = {"seconds", "tokens_per_second", "peak_memory_bytes"}  # what differs between equal runs
MIXED: dict[str, Any] = {
    "task": {
        "mixture": [
            {"name": "reasoning_gym:gcd", "options": {"max_value": 40}},
            {"name": "reasoning_gym:lcm", "weight": 2.0, "options": {"max_value": 12}},
        ],
        "partial_credit": True,
    },
    "adapter": {"method": "pissa"},
    "rollout": {"prompts": 2, "completions": 4, "max_completion_tokens": 6},
    "optim": {"rollouts": 8, "updates_per_rollout": 2, "lr": 1e-3},
    "run": {"threads": 1, "save_every": 2, "samples_every": 1, "kl_every": 2},
    "eval": {"tasks": ["reasoning_gym:gcd", "reasoning_gym:lcm"], "limit": 4},
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("whole") / "run"
    train(make_recipe(MIXED), out)
    return out


def rows_of(run: Path) -> int:
    path = run / "metrics.jsonl"
    return path.read_bytes().count(b"\n") if path.is_file() else 0


@pytest.mark.parametrize("kills", [(1,), (3, 6)], ids=["before a checkpoint", "twice, between two"])
def test_a_killed_run_on_a_mixture_ends_as_one_that_was_left_alone(
    kills: tuple[int, ...], whole: Path, tmp_path: Path
) -> None:
    recipe, out = make_recipe(MIXED), tmp_path / "run"
    for rows in kills:
        child = start(recipe, out)
        deadline = time.monotonic() + 240
        while rows_of(out) < rows and time.monotonic() < deadline:
            time.sleep(0.001)
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        assert os.WIFSIGNALED(status), "it had ended by itself: nothing was killed"
    assert not finished(out)
    _, status = os.waitpid(start(recipe, out), 0)
    assert os.WIFEXITED(status)
    assert os.WEXITSTATUS(status) == 0
    for name in ("samples.jsonl", "eval.json", "recipe.toml"):
        assert (out / name).read_bytes() == (whole / name).read_bytes(), name
    rows_alike = [
        [{key: row[key] for key in row.keys() - CLOCK} for row in read_jsonl(run / "metrics.jsonl")]
        for run in (whole, out)
    ]
    assert len(rows_alike[0]) == 8
    assert rows_alike[0] == rows_alike[1]
    one, other = (load_file(run / "adapter" / "adapter_model.safetensors") for run in (whole, out))
    assert one.keys() == other.keys()
    assert all(one[name].equal(other[name]) for name in one)
