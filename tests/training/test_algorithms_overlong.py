"""The soft overlong punishment has verl's scale, and leaves correctness itself alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from trl.rewards import get_soft_overlong_punishment

from stiefel.artifacts import read_jsonl
from stiefel.recipe.recipe import make_recipe
from stiefel.rewards import exact
from stiefel.run.run import train
from stiefel.training.overlong import WEIGHTS, OverlongShaping
from stiefel.training.rewards import GradedReward, shaping
from stiefel.training.settings import grpo_config

LIMIT, BUFFER = 40, 16


def verl_reward(correct: bool, length: int, penalty: float) -> float:
    """verl's DAPO reward manager: ±1 for correctness, and a punishment for what exceeds the limit less the buffer."""
    expected_length = LIMIT - BUFFER
    exceed = length - expected_length
    return (1.0 if correct else -1.0) + min(-exceed / BUFFER * penalty, 0.0)


@pytest.mark.parametrize("penalty", [0.5, 1.0, 3.0])
@pytest.mark.parametrize("correct", [True, False])
def test_the_shaped_reward_is_verls_at_every_length(correct: bool, penalty: float) -> None:
    shaped = OverlongShaping(LIMIT, BUFFER, penalty)([[0] * length for length in range(1, LIMIT + 1)])
    for length, extra in enumerate(shaped, start=1):
        assert WEIGHTS[0] * correct + WEIGHTS[1] * extra == pytest.approx(
            verl_reward(correct, length, penalty), abs=1e-15
        )


def test_the_punishment_is_trls_at_every_length() -> None:
    ids = [[0] * length for length in range(1, LIMIT + 1)]
    theirs = get_soft_overlong_punishment(LIMIT, BUFFER)(completion_ids=ids)
    assert [extra + 1.0 for extra in OverlongShaping(LIMIT, BUFFER, 1.0)(ids)] == pytest.approx(theirs, abs=1e-15)


def test_a_recipe_shapes_only_where_it_says_so(tmp_path: Path) -> None:
    plain = make_recipe({})
    correctness = GradedReward(exact)
    assert shaping(plain, correctness) == []
    assert grpo_config(plain, tmp_path).reward_weights is None
    shaped = make_recipe({"algorithm": {"overlong_buffer": 16}})
    (shape,) = shaping(shaped, correctness)
    # an answer that cannot be read has no correctness, and then no shaping either
    correctness.scores = [1.0, None]
    assert shape(completion_ids=[[1], [1]]) == [-1.0, None]
    assert grpo_config(shaped, tmp_path).reward_weights == WEIGHTS


def test_in_a_run_reward_is_shaped_and_correct_is_not(tmp_path: Path) -> None:
    """At rate 0 two runs see the same completions, so that the rewards differ by the shaping alone."""
    tables = {
        "optim": {"rollouts": 2, "lr": 0.0},
        "rollout": {"prompts": 4, "completions": 4, "max_completion_tokens": 24},
        "run": {"threads": 1},
    }
    rows = {}
    for name, algorithm in {"plain": {}, "shaped": {"overlong_buffer": 23}}.items():
        train(make_recipe({**tables, "algorithm": algorithm}), tmp_path / name)
        rows[name] = read_jsonl(tmp_path / name / "metrics.jsonl")
    for plain, shaped in zip(rows["plain"], rows["shaped"], strict=True):
        assert plain["correct"] == shaped["correct"] == plain["reward"]
        # every completion is longer than one token, none is longer than the limit: punishment (length − 1)/23
        punishment = (shaped["completion_length"] - 1) / 23
        assert shaped["reward"] == pytest.approx(2 * shaped["correct"] - 1 - punishment, abs=1e-6)
