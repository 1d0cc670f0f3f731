"""What a preflight may be asked: the recipe once for every method, or an error before anything is loaded."""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from ..errors import UserError
from ..methods import compose
from ..recipe import Recipe
from ..run import check_names, check_run, rehearse_start


def chosen_methods(text: str) -> list[str]:
    """The names between commas."""
    names = [name.strip() for name in text.split(",")] if text else []
    if not all(names):
        raise UserError(f"methods {text!r} have an empty name", "commas stand between methods", "write lora,rlpo")
    return names


def variants(recipe: Recipe, methods: Sequence[str], kl_budget: float) -> dict[str, Recipe]:
    """The recipe as it will be probed, by method; of an adapter directory one, by its path.

    A method of the list takes rank, alpha, targets and dropout from the recipe where it has a use for them, and of its
    options those that it knows. Nothing is saved or reported, and completions are generated in this process. Raises
    UserError for what cannot be measured.
    """
    refuse(recipe, methods, kl_budget)
    names = [recipe.adapter.path] if recipe.adapter.path else list(methods) or [recipe.adapter.method]
    found: dict[str, Recipe] = {}
    for name in names:
        probed = quiet_run(recipe) if recipe.adapter.path else with_method(quiet_run(recipe), name)
        key = recipe.adapter.path or compose(name).name
        if key in found:
            raise UserError(f"--methods names {key} twice", "both rows would be the same", "name each method once")
        found[key] = checked(probed)
    return found


def checked(recipe: Recipe) -> Recipe:
    """The recipe, if a run of it would begin."""
    with tempfile.TemporaryDirectory() as scratch:
        check_names(recipe, shared=True)
        check_run(recipe, Path(scratch))
    rehearse_start(recipe)
    return recipe


def refuse(recipe: Recipe, methods: Sequence[str], kl_budget: float) -> None:
    """Raise for a wish that has no meaning."""
    if not (kl_budget > 0 and math.isfinite(kl_budget)):
        raise UserError(
            f"--kl-budget {kl_budget:g} is not above 0",
            "it is what one step may cost, in nats a token, and a rate of 0 costs nothing",
            "a number such as 1e-3",
        )
    if recipe.algorithm.name == "sft":
        raise UserError(
            "preflight of a recipe with algorithm.name = 'sft'",
            "it measures the gradient of rewarded samples, and supervised training generates and rewards none",
            "a recipe with dapo, grpo or dr_grpo; a supervised run's first updates are in its metrics.jsonl",
        )
    if recipe.adapter.path and methods:
        raise UserError(
            f"--methods beside adapter.path = {recipe.adapter.path!r}",
            "that directory holds the start of one method, with a rank and targets of its own",
            "leave out --methods, or set adapter.method in place of adapter.path",
        )
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise UserError(
            "preflight in several processes", "each would measure a part of the batch", "start it once, by itself"
        )
    for name in methods:
        compose(name)


def with_method(recipe: Recipe, name: str) -> Recipe:
    """The recipe with another method, and those of its options that this one knows."""
    known = compose(name).options
    options = {key: value for key, value in recipe.adapter.options.items() if key in known}
    if compose(name).name == compose(recipe.adapter.method).name:
        options = dict(recipe.adapter.options)  # an unknown one of its own is an error
    adapter = recipe.adapter.model_copy(update={"method": name, "options": options})
    return recipe.model_copy(update={"adapter": adapter})


def quiet_run(recipe: Recipe) -> Recipe:
    """The recipe without what a run leaves behind it, and with the engine that needs no second one."""
    run = recipe.run.model_copy(update={"save_every": 0, "geometry_every": 0, "report_to": []})
    rollout = recipe.rollout.model_copy(update={"engine": "hf"})
    return recipe.model_copy(update={"run": run, "rollout": rollout})
