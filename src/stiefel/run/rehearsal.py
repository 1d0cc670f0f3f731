"""What of a run costs no weights, done before any work: its start on a skeleton, its rows, its reward once."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from ..adapter import rehearse_attach, rehearse_load
from ..methods import used_settings
from ..model import build_skeleton, resolve_model
from ..recipe import Recipe
from ..tasks import Task, training_task, tried, without_validation
from ..training import require_hidden_states, sft_rows, training_rows
from .checks import check_names, check_run
from .engines import find_served
from .loading import load_ending_tokenizer
from .measurements import sampling_for
from .questions import tasks_of


def rehearse(recipe: Recipe, out: Path, done: set[str], *, written: Collection[str] = ()) -> None:
    """Raise for whatever would end a run of a comparison before or at its first rollout; nothing is written.

    `done` remembers, from one run of a comparison to the next, what they share. Cost: reading the rows and the
    tokenizer, and of the model its config.json.
    """
    check_names(recipe, shared=True, written=written)
    check_run(recipe, out)
    if is_new(done, "start", recipe.model, recipe.adapter):
        rehearse_start(recipe)
    if is_new(done, "server", recipe.rollout):
        find_served(recipe)
    drawn = recipe.optim.rollouts, recipe.run.seed, recipe.eval.validation > 0
    if is_new(done, "rows", recipe.model, recipe.task, recipe.algorithm, recipe.rollout, *drawn):
        tokenizer = load_ending_tokenizer(recipe)
        read = sft_rows if recipe.algorithm.name == "sft" else training_rows
        read(recipe, trained_task(recipe), tokenizer)
    measures = recipe.eval, recipe.rollout.max_completion_tokens
    if is_new(done, "questions", recipe.model, recipe.task, *measures):
        tokenizer = load_ending_tokenizer(recipe)
        for task in measured_tasks(recipe):
            sampling_for(recipe, task, tokenizer)


def is_new(done: set[str], *settings: Any) -> bool:
    """Whether these settings come for the first time; they are remembered."""
    key = repr(settings)
    found = key not in done
    done.add(key)
    return found


def rehearse_start(recipe: Recipe) -> None:
    """The recipe's adapter on a model without weights, which TRL must be able to train: a saved one, or a new start."""
    model, settings = recipe.model, recipe.adapter
    require_hidden_states(build_skeleton(resolve_model(model.path, model.revision)))
    if settings.path:
        rehearse_load(model.path, settings.path, revision=model.revision, dtype=model.dtype)
        return
    options: dict[str, Any] = dict(settings.options)
    given = settings.model_dump(include={"rank", "alpha", "dropout", "targets"})
    rehearse_attach(
        model.path,
        settings.method,
        revision=model.revision,
        seed=recipe.run.seed,
        **used_settings(settings.method, **given, options=options),
        **options,
    )


def trained_task(recipe: Recipe) -> Task:
    """What the recipe trains on, its validation split left out, a reward of the user's called once on its first row."""
    task = training_task(recipe.task, graded=recipe.algorithm.name != "sft")
    if recipe.eval.validation:
        task = without_validation(task, recipe.run.seed)
    tried(task, task.rows("train", 1, recipe.run.seed)[0])
    return task


def trained_on(tasks: Sequence[Task]) -> list[str]:
    """The names of measured tasks of one's own that have no rows but those of the training."""
    return [task.name for task in tasks if "trained_on" in task.origin("test")]


def measured_tasks(recipe: Recipe) -> list[Task]:
    """What the recipe measures, with its questions read, and a reward of the user's called once on the first."""
    tasks = tasks_of(recipe)
    for task in tasks:
        for row in task.rows("test", 1, 0):
            tried(task, row)
    return tasks
