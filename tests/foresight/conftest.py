"""One preflight of a small rollout, shared by the tests that read it."""

from __future__ import annotations

from typing import Any

import pytest

from stiefel.foresight import Preflight, preflight
from stiefel.recipe.recipe import Recipe, make_recipe
from stiefel.run.loading import load_pair

TABLES: dict[str, Any] = {
    "optim": {"rollouts": 20, "updates_per_rollout": 1, "lr": 1e-3},
    "rollout": {"prompts": 2, "completions": 4, "max_completion_tokens": 24},
    "adapter": {"rank": 4, "alpha": 4, "options": {"sigma": "undivided"}, "method": "pissa"},
    "run": {"threads": 1},
}


@pytest.fixture(scope="session")
def recipe() -> Recipe:
    """s = 1 and undivided singular values, as in the papers' theorems."""
    return make_recipe(TABLES)


@pytest.fixture(scope="session")
def found(recipe: Recipe) -> Preflight:
    return preflight(recipe, ["lora", "rlpo", "rlmo", "random_orthonormal", "pissa", "olora"])


@pytest.fixture(scope="session")
def nano() -> tuple[Any, Any]:
    return load_pair(make_recipe(TABLES))
