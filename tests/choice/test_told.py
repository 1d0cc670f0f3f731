"""What is told of a choice follows from the rows that its runs left."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from stiefel.choice.candidates import candidates_of
from stiefel.choice.plan import Plan
from stiefel.choice.told import result
from stiefel.choice.words import print_choice
from stiefel.errors import UserError
from stiefel.recipe.grid import load_grid

PLAN = Plan((4, 8), (4, 2), 2)


def told(place: Path, rewards: dict[str, list[float | None]], gone: dict[str, str]) -> dict[str, Any]:
    """The verdict on runs of these rewards, four candidates of eight rollouts and two seeds having been halved once."""
    (place / "grid.toml").write_text(
        'recipe.optim.rollouts = 8\n[axes]\n"run.seed" = [0, 1]\n"optim.lr" = [1e-4, 2e-4, 3e-4, 4e-4]\n'
    )
    for run, values in rewards.items():
        (place / "runs" / run).mkdir(parents=True)
        rows = [{"step": step} | ({} if value is None else {"reward": value}) for step, value in enumerate(values, 1)]
        rows += [{"event": "guard", "step": 1, "reason": "", "action": "restore"}]  # no rollout
        (place / "runs" / run / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    candidates = {each.name: each for each in candidates_of(load_grid(place / "grid.toml"))}
    first = dict(zip(candidates, (0.1, 0.2, 0.3, 0.4), strict=True))
    on = ["lr0.0004", "lr0.0003"]
    ends = [name for name in on if name not in gone]
    rungs = [
        {"rollouts": 4, "merits": first, "went_on": on},
        {"rollouts": 8, "merits": {name: 0.5 if name in ends else None for name in on}, "went_on": ends},
    ]
    record = {"rungs": rungs, "out": gone, "total": 64, "budget": 40}
    return record | result(candidates, PLAN, place, record)


def test_the_winner_is_the_best_over_all_its_seeds(tmp_path: Path) -> None:
    found = told(
        tmp_path,
        {
            "seed0-lr0.0001": [0.1] * 4,
            "seed0-lr0.0002": [0.2] * 4,
            "seed0-lr0.0003": [0.0] * 6 + [0.5, 0.6],
            "seed0-lr0.0004": [0.0] * 6 + [0.7, None],
            "seed1-lr0.0003": [0.0] * 6 + [0.8, 0.9],
            "seed1-lr0.0004": [0.0] * 6 + [0.5, 0.5],
        },
        {},
    )
    assert found["winner"] == {"optim.lr": 3e-4}
    assert found["merit"] == pytest.approx(0.7)  # 0.55 and 0.85; the other one 0.7 and 0.5
    assert found["seeds"] == [0, 1]
    assert 0.5 < found["probability"] < 0.9
    assert found["ended"]
    assert found["spent"] == 40  # rows of the guard are no rollouts
    assert found["not_seen"] == {"rollouts": 24, "runs_never_begun": 2, "candidates_of_one_seed": 2}


def test_where_every_finalist_breaks_the_best_that_was_dropped_is_named_and_not_called_sure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = {f"seed0-lr0.000{number}": [0.1 * number] * (4 if number < 3 else 6) for number in (1, 2, 3, 4)}
    found = told(tmp_path, runs, {"lr0.0004": "it diverged", "lr0.0003": "it diverged"})
    assert found["winner"] == {"optim.lr": 2e-4}
    assert found["probability"] is None
    assert not found["ended"]
    print_choice(found)
    printed = capsys.readouterr().out
    assert "no finalist came to its end" in printed
    assert printed.count("it diverged") == 2


def test_where_all_are_out_that_is_an_error_with_the_reasons(tmp_path: Path) -> None:
    names = [f"lr0.000{number}" for number in (1, 2, 3, 4)]
    with pytest.raises(UserError, match="no candidate is left") as error:
        told(tmp_path, {}, {name: f"{name} diverged" for name in names} | {"lr0.0001": "no room"})
    assert "no room" in error.value.why
