"""Every method, alone and composed, attached to the tiny model with the settings that it has a use for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from stiefel import attach
from stiefel.methods import METHODS, STARTS, used_settings
from stiefel.training.adalora import allocate, is_adalora, plan_budget
from stiefel.training.optimizers import make_optimizer

COMPOSED = (
    "rlpo+dora",
    "random_orthonormal+lora_fa",
    "rlmo+rslora+lora_plus",
    "pissa+dora",
    "pissa+rslora",
    "geora+lora_plus",
    "rlpo+dora+lora_fa",
    "milora+dora+rslora",
)
STARTED = {method.name for method in STARTS} - {"rlpo", "pissa"}
NAMES = (*(method.name for method in METHODS), *COMPOSED)
RANK, ALPHA, STEPS = 4, 8, 6


def attach_any(model: Any, name: str, rank: int = RANK, alpha: int = ALPHA, seed: int = 0, **options: Any) -> Any:
    """`attach` with the settings that the method has a use for."""
    used = used_settings(name, rank=rank, alpha=alpha, dropout=0.0, targets="all-linear", options=options)
    return attach(model, name, seed=seed, **used, **options)


@pytest.fixture(params=[name for name in NAMES if name not in STARTED])
def changed(request: pytest.FixtureRequest) -> str:
    """Every name but those of most starts, whose tests are this folder's others."""
    return request.param


@pytest.fixture
def fit() -> Callable[..., Any]:
    """fit(model, steps, optimizer, done): next-token steps with the method's own optimizer, which it returns."""
    ids = torch.arange(24).view(2, 12) % 29

    def run(model: Any, steps: int = 3, optimizer: Any = None, done: int = 0, **settings: Any) -> Any:
        settings = {"lr": 0.01, "weight_decay": 0.1, **settings}
        optimizer = optimizer or make_optimizer(model, **settings)
        if is_adalora(model):
            plan_budget(model, STEPS)
        model.eval()  # no dropout
        for step in range(done + 1, done + steps + 1):
            optimizer.zero_grad()
            model(input_ids=ids, labels=ids).loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            if is_adalora(model):
                allocate(model, step)
        return optimizer

    return run
