"""What is checked of a recipe before anything is loaded or written."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from datasets import Dataset

from ..engine import rank_served, require_same_class, require_vllm
from ..errors import UserError
from ..methods import Composition, compose, unused_settings
from ..model import build_skeleton, resolve_model
from ..recipe import AVERAGE, AdapterSettings, Recipe, methods_named, numbers, tasks_named
from ..tasks import check_held_out, check_task, find_task
from ..training import grpo_config, not_divided, schedule, sft_config, sharded_launch
from .questions import check_named, named_tasks
from .reporting import require_reporters


def check_names(recipe: Recipe, *, shared: bool = False, written: Collection[str] = ()) -> None:
    """Raise for a task, method, option or setting that has no meaning, before anything is loaded.

    Of `shared` settings only those of [adapter] that are named in `written` must have one.
    """
    check_task(recipe.task)
    check_named(recipe)
    require_reporters(recipe.run.report_to)
    check_expected(recipe)
    if recipe.adapter.path:
        return
    compose(recipe.adapter.method).resolve_options(recipe.adapter.options)
    usual = AdapterSettings()
    lost = [key for key in not_applicable(recipe) if vars(recipe.adapter)[key] != vars(usual)[key]]
    if shared:
        lost = [key for key in lost if key in written]
    if lost:
        raise UserError(
            f"adapter.{lost[0]} = {vars(recipe.adapter)[lost[0]]!r} is set for {recipe.adapter.method}",
            f"{recipe.adapter.method} has no use for it, and a setting that nothing reads would be lost in silence",
            f"leave out adapter.{', adapter.'.join(lost)}",
        )


def check_expected(recipe: Recipe) -> None:
    """Raise for published scores that would never stand beside ours: of no method or task, or in percent unsaid."""
    expected = recipe.expected
    for method in methods_named(expected.scores):
        compose(method)
    own = {AVERAGE, recipe.task.name, *recipe.eval.tasks}
    for task in [*tasks_named(expected.scores), *expected.average_of]:
        if task not in own:
            find_task(task)
    if AVERAGE in tasks_named(expected.scores) and not expected.average_of:
        raise UserError(
            "expected.scores has an average, and expected.average_of is empty",
            "a mean stands beside the mean of the same tasks",
            "name its tasks in expected.average_of",
        )
    most = 100.0 if expected.percent else 1.0
    outside = [number for number in numbers(expected.scores) if not 0 <= number <= most]
    if outside:
        raise UserError(
            f"expected.scores holds {outside[0]:g}",
            "a percentage is between 0 and 100" if expected.percent else "a score is between 0 and 1",
            "mend it" if expected.percent else "set expected.percent = true where the scores are in percent",
        )


def check_rows(recipe: Recipe, dataset: Dataset) -> None:
    """Raise where a row that is trained on asks a question that [eval] measures."""
    for task in [] if recipe.eval.defer else named_tasks(recipe):
        check_held_out(dataset["prompt"], task, recipe.eval.limit)


def check_run(recipe: Recipe, out: Path) -> None:
    """Raise for what a trainer would refuse, before an earlier run is replaced."""
    supervised = recipe.algorithm.name == "sft"
    config = sft_config(recipe, out) if supervised else grpo_config(recipe, out)
    if recipe.rollout.engine == "vllm":
        instead = 'rollout.engine = "hf"'
        require_vllm('rollout.engine = "vllm"', instead)
        files = resolve_model(recipe.model.path, recipe.model.revision)
        require_same_class(build_skeleton(files), files, instead)
    if recipe.adapter.path:
        return
    if not supervised:  # its updates are known once its rows are read
        check_budget(recipe, config.max_steps)
    composition = compose(recipe.adapter.method)
    if sharded_launch() and not composition.is_peft:
        raise not_divided()
    check_sync(recipe, composition)
    if recipe.run.geometry_every and (composition.has("ia3") or composition.stands_on == "norms"):
        raise UserError(
            f"run.geometry_every is set for {recipe.adapter.method}",
            "it changes no matrix by itself, so that there is nothing to measure of each",
            "leave out run.geometry_every, or choose another method",
        )


def check_sync(recipe: Recipe, composition: Composition) -> None:
    """Raise for factors that the method has not, or of a rank that no engine serves."""
    if recipe.rollout.engine != "vllm" or recipe.rollout.sync == "merged":
        return
    if composition.start is None or composition.has("dora"):
        if recipe.rollout.sync == "factors":
            raise UserError(
                f'rollout.sync = "factors" for {recipe.adapter.method}',
                "it is more than factors A and B, which an engine serves beside a model",
                "leave out rollout.sync: its weights are sent merged",
            )
        return
    rank_served(composition.width * recipe.adapter.rank)


def check_budget(recipe: Recipe, updates: int) -> None:
    """Raise where AdaLoRA has too few updates to cut its rank in."""
    if recipe.adapter.path:
        return
    composition = compose(recipe.adapter.method)
    if composition.has("adalora"):
        schedule(composition.resolve_options(recipe.adapter.options), updates)


def not_applicable(recipe: Recipe) -> list[str]:
    """The adapter's settings that its method has no use for."""
    settings = recipe.adapter
    return [] if settings.path else sorted(unused_settings(compose(settings.method), settings.options))
