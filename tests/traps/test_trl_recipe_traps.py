"""TRL's traps around a recipe's numbers: the scale of rewards, and what a schedule counts."""

from __future__ import annotations

from typing import Any

import trl
from trl.rewards import get_soft_overlong_punishment

from stiefel import GRPOTrainer, attach
from stiefel.recipe.recipe import make_recipe
from stiefel.training.overlong import WEIGHTS, OverlongShaping
from stiefel.training.settings import rate_factor

from .conftest import logged

LIMIT, BUFFER = 40, 16
SHORT, LONG = [0] * 10, [0] * LIMIT  # no punishment, all of it


def test_t7_beside_a_reward_of_0_and_1_the_punishment_weighs_twice() -> None:
    none, full = get_soft_overlong_punishment(LIMIT, BUFFER)(completion_ids=[SHORT, LONG])
    assert (none - full) / (1 - 0) == 1.0  # of what a right answer is worth more than a wrong one
    extra = OverlongShaping(LIMIT, BUFFER, 1.0)([SHORT, LONG])
    worth = WEIGHTS[0] * (1 - 0)
    assert WEIGHTS[1] * (extra[0] - extra[1]) / worth == 0.5  # verl: 1 of the 2 between −1 and +1


def test_t8_a_schedule_steps_at_every_update_and_ours_once_a_rollout(train: Any, make_model: Any) -> None:
    model = attach(make_model(), "lora", r=4)
    theirs = logged(train(trl.GRPOTrainer, model, beta=0.0, lr=0.01), "learning_rate")
    assert len(set(theirs)) == 4, "upstream counts rollouts now"  # its default falls linearly
    optim = make_recipe({"optim": {"schedule": "cosine", "rollouts": 2, "updates_per_rollout": 2}}).optim
    model = attach(make_model(), "lora", r=4)
    ours = logged(train(GRPOTrainer, model, beta=0.0, lr=0.01, rate_factor=rate_factor(optim)), "learning_rate")
    assert ours == [0.01, 0.01, 0.005, 0.005]
