"""What is measured by verl, all tasks alike, and what by `stiefel eval`, each in its own way."""

from __future__ import annotations

import json

from ..recipe import Recipe, TaskSettings
from ..rewards import is_gym

SEED = 20_000  # of `stiefel train`'s measurements too


def by_verl(recipe: Recipe) -> bool:
    """Whether verl measures the recipe's tasks itself: all are sampled alike, to the length of a rollout."""
    return bool(recipe.eval.tasks) and recipe.eval.sampling == "recipe"


def apart(recipe: Recipe) -> bool:
    """Whether tasks are measured by `stiefel eval`, before and after."""
    return bool(recipe.eval.tasks) and not by_verl(recipe)


def evaluated(recipe: Recipe) -> dict[str, list[str]]:
    """Task → the words that `stiefel eval` is given behind the model and the adapter."""
    model = recipe.model
    shared = ["--engine", "vllm", "--dtype", model.dtype, "--limit", str(recipe.eval.limit), "--seed", str(SEED)]
    for key, value in model.chat_template_options.items():
        shared += ["--chat-template-option", f"{key}={json.dumps(value)}"]
    for token in model.turn_ends:
        shared += ["--turn-end", token]
    return {task: [*asked(task, recipe.task), *shared] for task in recipe.eval.tasks}


def asked(task: str, settings: TaskSettings) -> list[str]:
    """Which questions: a task's own, reasoning-gym's by their options, or the held-out rows of what is trained on."""
    words = ["--task", task]
    if is_gym(task):
        options = next((entry.options for entry in settings.mixture if entry.name == task), settings.options)
        for key, value in options.items():
            words += ["--option", f"{key}={json.dumps(value)}"]
        return [*words, "--chat"] if settings.chat else words
    if task != settings.name or not settings.heldout:
        return words
    if not settings.reward:
        return [*words, "--data", settings.heldout]
    words = ["--task", settings.reward, "--data", settings.heldout]
    words += ["--prompt-column", settings.prompt_column, "--answer-column", settings.answer_column]
    return [*words, "--chat"] if settings.chat else words
