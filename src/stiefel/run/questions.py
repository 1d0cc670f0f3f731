"""What a run is measured on: the tasks that [eval] names, and the validation split of what it trains on."""

from __future__ import annotations

from ..recipe import Recipe
from ..tasks import Row, Task, is_validation_name, measured_task, training_task, validation_task


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
    settings = recipe.task.model_copy(update={"partial_credit": False})
    return validation_task(training_task(settings), recipe.eval.validation)


def questions_of(recipe: Recipe, task: Task) -> list[Row]:
    """The questions by which a task is measured."""
    limit = recipe.eval.validation if is_validation_name(task.name) else recipe.eval.limit
    return task.rows("test", limit, 0)


def of_the_test(recipe: Recipe) -> Recipe:
    """The recipe with its test measured, and nothing else."""
    measured = recipe.eval.model_copy(update={"defer": False, "validation": 0})
    return recipe.model_copy(update={"eval": measured})
