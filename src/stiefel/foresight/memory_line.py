"""A line of a preflight: what an update of each method needs of a GPU's memory, by the formula."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from ..methods import compose
from ..model import build_skeleton, resolve_model
from ..recipe import Recipe
from .memory_needed import FAMILIES, Step, needed, shapes_of


def memory_line(asked: Mapping[str, Recipe], longest_prompt: int) -> list[str]:
    """One sentence with every method that the formula knows; none for a model of another family."""
    recipe = next(iter(asked.values()))
    config = build_skeleton(resolve_model(recipe.model.path, recipe.model.revision)).config
    if config.get_text_config().model_type not in FAMILIES:
        return []
    shapes, length = shapes_of(config), longest_prompt + recipe.rollout.max_completion_tokens
    found = {}
    for name, one in asked.items():
        rank = rank_of(one)
        if rank is not None:
            found[name] = needed(shapes, step_of(one, rank, length)).total
    if not found:
        return []
    each = ", ".join(f"{name} {count / 1e9:.2g}" for name, count in found.items())
    return [f"An update of a process needs about this many GB of memory, without an engine's share: {each}."]


def memory_needed(recipe: Recipe) -> int | None:
    """Bytes of an update in one process, without an engine's share; None of a family or a method that is not counted.

    Raises UserError where the model's config.json cannot be had.
    """
    config = build_skeleton(resolve_model(recipe.model.path, recipe.model.revision)).config
    rank = rank_of(recipe)
    if rank is None or config.get_text_config().model_type not in FAMILIES:
        return None
    length = recipe.rollout.max_prompt_tokens + recipe.rollout.max_completion_tokens
    if recipe.algorithm.name == "sft":
        rows = recipe.optim.micro_batch or recipe.algorithm.batch
        return needed(shapes_of(config), replace(step_of(recipe, rank, length), rows=rows)).total
    return needed(shapes_of(config), step_of(recipe, rank, length)).total


def rank_of(recipe: Recipe) -> int | None:
    """Of a LoRA on every linear layer; 0 for full weights, None for what the formula does not count."""
    if recipe.adapter.path:
        return None
    composition = compose(recipe.adapter.method)
    whole = composition.start is not None and not composition.has("dora") and not composition.frozen_a
    if whole and recipe.adapter.targets == "all-linear":
        return recipe.adapter.rank
    return 0 if composition.name == "full" else None


def step_of(recipe: Recipe, rank: int, length: int) -> Step:
    """One pass of the recipe in one process, its rows as long as they can be."""
    optim, rollout = recipe.optim, recipe.rollout
    batch = rollout.prompts * rollout.completions // optim.updates_per_rollout
    weight = 4 if recipe.model.dtype == "float32" else 2
    return Step(
        rank=rank,
        rows=optim.micro_batch or batch,
        length=length,
        anchored=rank > 0 and compose(recipe.adapter.method).anchored,
        weight=weight,
        number=2 if recipe.model.compute == "bfloat16" else weight,
        checkpointed=optim.activation_checkpointing,
    )
