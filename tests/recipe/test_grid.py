"""A grid's axes: their product, and keys that vary together."""

from __future__ import annotations

from pathlib import Path

import pytest

from stiefel.errors import UserError
from stiefel.recipe.grid import load_grid


def grid(place: Path, axes: str) -> Path:
    (place / "grid.toml").write_text(f"[axes]\n{axes}\n")
    return place / "grid.toml"


def test_keys_that_vary_together(tmp_path: Path) -> None:
    axes = '"run.seed" = [0, 1]\n"adapter.method, optim.lr" = [["lora", 3e-4], ["full", 3e-5]]'
    runs = load_grid(grid(tmp_path, axes)).runs
    assert list(runs) == ["seed0-lora-lr0.0003", "seed0-full-lr3e-05", "seed1-lora-lr0.0003", "seed1-full-lr3e-05"]
    found = {(one.run.seed, one.adapter.method, one.optim.lr) for one in runs.values()}
    assert found == {(seed, method, lr) for seed in (0, 1) for method, lr in (("lora", 3e-4), ("full", 3e-5))}


@pytest.mark.parametrize(
    ("axes", "words"),
    [
        ('"adapter.method, optim.lr" = ["lora", "full"]', "2 keys vary together"),
        ('"adapter.method, optim.lr" = [["lora", 3e-4, 1]]', "2 keys vary together"),
        ('"adapter.method, optim.rl" = [["lora", 3e-4]]', "unknown axis optim.rl"),
        ('"optim.lr" = [1e-3]\n"adapter.method, optim.lr" = [["lora", 3e-4]]', "optim.lr is varied twice"),
        ('"optim.lr, optim.lr" = [[1e-3, 1e-4]]', "optim.lr is varied twice"),
    ],
)
def test_mistakes_are_named(axes: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=words):
        load_grid(grid(tmp_path, axes))
