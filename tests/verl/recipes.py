"""Recipes that are handed to verl, and what verl makes of their overrides."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from stiefel.recipe import Recipe, load_recipe
from stiefel.verl.able import composition_of
from stiefel.verl.carried import carried
from stiefel.verl.hydra import override
from stiefel.verl.overrides import Place, flat, groups
from stiefel.verl.shares import shares

RECIPES = Path(__file__).parents[2] / "recipes"
HERE = Place("/tmp/run", "/tmp/model", "/tmp/run/adapter")
ON_ONE = ("rollout.engine=vllm", "rollout.max_prompt_tokens=192", "cluster.gpus=1")
# name → (file, profile, what has to be set for verl): every recipe of ours that trains by rewards
LAUNCHED = {
    "rlpo": ("rlpo/main.toml", "paper", ()),
    "rlpo-nano": ("rlpo/main.toml", "nano", ON_ONE),
    "geora": ("geora/main.toml", "paper", ("cluster.gpus=8",)),
    "geora-nano": ("geora/main.toml", "nano", ON_ONE),
    "peft12": ("peft12/main.toml", "paper", ("cluster.gpus=8",)),
    "peft12-nano": ("peft12/main.toml", "nano", ON_ONE),
    "nano-dapo": ("nano/dapo.toml", "", ON_ONE),
    "nano-grpo": ("nano/grpo.toml", "", ON_ONE),
    "nano-dr-grpo": ("nano/dr_grpo.toml", "", ON_ONE),
    "smollm2": ("smollm2/dapo.toml", "", ON_ONE),
}


def launched(name: str, *changes: str) -> Recipe:
    """One of LAUNCHED, with changes."""
    file, profile, needed = LAUNCHED[name]
    return load_recipe(RECIPES / file, [*needed, *changes], profile)


def settings(recipe: Recipe, place: Place = HERE) -> dict[str, Any]:
    """Every override of a recipe by its name."""
    composition = composition_of(recipe)
    return flat(groups(recipe, carried(recipe, composition), shares(recipe), place))


def overrides(recipe: Recipe, place: Place = HERE) -> list[str]:
    """Every override as Hydra reads it, the script's variables filled in."""
    return [override(key, value) for key, value in settings(recipe, place).items()]


def composed(words: list[str]) -> Any:
    """What verl's own defaults become under these overrides."""
    import verl.trainer
    from hydra import compose, initialize_config_dir

    with initialize_config_dir(str(Path(verl.trainer.__file__).parent / "config"), version_base=None):
        return compose("ppo_trainer", words)
