"""What a run is measured on: the tasks that [eval] names, and the validation split of what it trains on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from ..recipe import Recipe
from ..tasks import Row, Split, Task, is_validation_name, measured_task, training_task, validation_task
from ..training import fitting
from .loading import load_ending_tokenizer


def tasks_of(recipe: Recipe) -> list[Task]:
    """What is measured while the run goes on: the named tasks unless they are deferred, then the validation split."""
    named = [] if recipe.eval.defer else named_tasks(recipe)
    return [*named, *([validation_of(recipe)] if recipe.eval.validation else [])]


def named_tasks(recipe: Recipe) -> list[Task]:
    """The recipe's evaluation tasks, what it trains on among them where it names that."""
    return [measured_task(name, recipe.task) for name in recipe.eval.tasks]


def check_named(recipe: Recipe) -> None:
    """Raise for a task that is not known; of deferred ones nothing is read, so rows of one's own are not looked at."""
    for name in recipe.eval.tasks:
        if not (recipe.eval.defer and recipe.task.data and name == recipe.task.name):
            measured_task(name, recipe.task)


def validation_of(recipe: Recipe) -> Task:
    """The split as a task, graded as the trained task is measured: no credit for a part of an answer."""
    task = training_task(recipe.task.model_copy(update={"partial_credit": False}))
    if recipe.rollout.truncate == "drop":  # what is too long to be trained on is not asked either
        task = replace(task, rows=short_rows(recipe, task))
    return validation_task(task, recipe.eval.validation)


def short_rows(recipe: Recipe, task: Task) -> Callable[[Split, int, int], list[Row]]:
    """The task's rows without those whose prompts are too long."""
    tokenizer = load_ending_tokenizer(recipe)
    return lambda split, count, seed: fitting(recipe, task.rows(split, count, seed), task, tokenizer)


def questions_of(recipe: Recipe, task: Task) -> list[Row]:
    """The questions by which a task is measured."""
    limit = recipe.eval.validation if is_validation_name(task.name) else recipe.eval.limit
    return task.rows("test", limit, 0)


def of_the_test(recipe: Recipe) -> Recipe:
    """The recipe with its test measured, and nothing else."""
    measured = recipe.eval.model_copy(update={"defer": False, "validation": 0})
    return recipe.model_copy(update={"eval": measured})
