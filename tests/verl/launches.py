"""What a launch leaves for verl's processes, without the adapter that these tests do not need."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from stiefel.artifacts import RECIPE, write_json, write_text
from stiefel.recipe import Recipe, load_recipe
from stiefel.verl.able import composition_of
from stiefel.verl.carried import carried
from stiefel.verl.given import VARIABLE
from stiefel.verl.handed import HANDED, handed, handed_recipe

DATA = Path(os.environ.get("STIEFEL_DATA", ""))
HAS_DATA = pytest.mark.skipif(not os.environ.get("STIEFEL_DATA"), reason="STIEFEL_DATA names no directory of data")
VERL = """
[model]
path = {model!r}
[task]
{task}
[algorithm]
{algorithm}
[rollout]
engine = "vllm"
prompts = 2
completions = 4
max_prompt_tokens = {room}
max_completion_tokens = 64
[optim]
rollouts = 3
updates_per_rollout = 1
[eval]
{measured}
[cluster]
gpus = 1
"""


def written(
    home: Path, *, model: str = "nano", task: str = "", algorithm: str = "", measured: str = "", room: int = 64
) -> Recipe:
    """A recipe of a few prompts."""
    path = home / "own.toml"
    path.write_text(VERL.format(model=model, task=task, algorithm=algorithm, measured=measured, room=room))
    return load_recipe(path)


def hand_over(recipe: Recipe, home: Path, patch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The files of a launch in `home`, named by the variable; returns what verl.json says."""
    handed_recipe.cache_clear()
    composition = composition_of(recipe)
    told = handed(recipe, carried(recipe, composition), composition, home)
    write_text(home / RECIPE, recipe.to_toml())
    write_json(home / HANDED, told)
    patch.setenv(VARIABLE, str(home / HANDED))
    return told
