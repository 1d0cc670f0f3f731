"""The guard ends a run that goes wrong, or takes it back and halves its rate; the events are kept."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from stiefel.artifacts import read_json, read_jsonl
from stiefel.recipe.recipe import make_recipe
from stiefel.recipe.sections import GuardSettings
from stiefel.report.runs import read_run
from stiefel.run.directory import status
from stiefel.run.guard import Guard, Tripped
from stiefel.run.reaction import Diverged
from stiefel.run.run import train

from .kills import killed_run

HOT = {
    "optim": {"rollouts": 6, "lr": 4e-3},
    "rollout": {"prompts": 4, "completions": 4, "max_completion_tokens": 24},
    "run": {"threads": 1, "kl_every": 1, "save_every": 2},
}


def test_a_run_past_a_bound_is_stopped_and_says_why(tmp_path: Path) -> None:
    out = tmp_path / "run"
    with pytest.raises(Diverged, match=r"kl_base .* passed guard\.kl_base = 0\.05"):
        train(make_recipe({**HOT, "guard": {"action": "stop", "kl_base": 0.05}}), out)
    assert status(out) == "diverged"
    assert "kl_base" in read_json(out / "manifest.json")["reason"]
    event = read_jsonl(out / "metrics.jsonl")[-1]
    assert (event["event"], event["action"]) == ("guard", "stop")
    assert event["step"] == len(read_jsonl(out / "metrics.jsonl")) - 1
    assert read_run(out).events[0].reason == event["reason"]  # a report reads it


def test_a_run_past_a_bound_goes_back_at_half_the_rate(tmp_path: Path) -> None:
    out = tmp_path / "run"
    recipe = make_recipe({**HOT, "guard": {"action": "restore", "kl_base": 0.3}})
    began = time.perf_counter()
    train(recipe, out)
    seconds = time.perf_counter() - began
    rows = read_jsonl(out / "metrics.jsonl")
    events = [row for row in rows if "event" in row]
    steps = [row for row in rows if "event" not in row]
    assert events
    assert read_json(out / "manifest.json")["events"] == events
    assert [row["step"] for row in steps] == [1, 2, 3, 4, 5, 6]
    assert all(row["kl_base"] <= 0.3 for row in steps)
    assert steps[-1]["learning_rate"] == 4e-3 * 0.5 ** len(events)
    # killed and resumed, the guard does the same again
    killed_run(recipe, tmp_path / "killed", kills=2, seconds=0.4 * seconds)
    clock = {"seconds", "tokens_per_second", "peak_memory_bytes"}
    again = read_jsonl(tmp_path / "killed" / "metrics.jsonl")
    assert [{k: row[k] for k in row.keys() - clock} for row in again] == [
        {k: row[k] for k in row.keys() - clock} for row in rows
    ]


@pytest.mark.parametrize(
    ("settings", "row", "reason"),
    [
        ({"kl_base": 1.0}, {"step": 3, "kl_base": 1.5}, "kl_base 1.5 passed guard.kl_base = 1"),
        ({"grad_norm": 2.0}, {"step": 3, "grad_norm_max": 2.5}, "grad_norm 2.5 passed guard.grad_norm = 2"),
        ({}, {"step": 3, "not_finite": ["grad_norm"]}, "grad_norm not finite"),
        ({"kl_base": 1.0, "grad_norm": 2.0}, {"step": 3, "grad_norm_max": 2.0}, None),
        ({"grad_norm": 2.0, "action": "off"}, {"step": 3, "grad_norm_max": 2.5}, None),
    ],
)
def test_bounds(settings: dict[str, Any], row: dict[str, Any], reason: str | None) -> None:
    guard = Guard(GuardSettings(**{"action": "stop", **settings}))
    if reason is None:
        guard.look(row)
        return
    with pytest.raises(Tripped, match=reason):
        guard.look(row)


def test_no_probabilities_at_all_is_what_the_guard_is_for(tmp_path: Path) -> None:
    with pytest.raises(Diverged):
        train(make_recipe({**HOT, "optim": {"rollouts": 4, "lr": 1e30}, "guard": {"action": "stop"}}), tmp_path / "run")
    assert read_jsonl(tmp_path / "run" / "events.jsonl")[0]["action"] == "stop"
