"""A cell of a grid: one run, the base that it is compared with, and how far it has come."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from ..artifacts import BASES, write_text
from ..memory import forget_peak
from ..recipe import Recipe
from ..run import BEFORE, Diverged, finished, measure_base, read_samples, sample_lines, train
from .failed import in_words
from .mirror import last_step


def writes_its_base(recipe: Recipe) -> bool:
    """Whether the run's own engine measures the base, so that before and after training it is the same one."""
    return recipe.rollout.engine == "vllm" and recipe.algorithm.name != "sft"


def gpus_named(recipe: Recipe) -> int:
    """The GPUs that a recipe names: of [cluster], or those that an engine in its process shares a model among."""
    colocated = recipe.rollout.engine == "vllm" and recipe.rollout.vllm_mode == "colocate"
    return max(recipe.cluster.gpus, recipe.rollout.vllm_tensor_parallel if colocated else 0)


def base_key(recipe: Recipe) -> str:
    """A name for everything that the samples of the base model depend on; a key with its default adds nothing."""
    model, measured = (section.model_dump(exclude_defaults=True) for section in (recipe.model, recipe.eval))
    settings = [model, measured, recipe.rollout.max_completion_tokens, recipe.run.threads]
    settings += [recipe.rollout.engine] if recipe.rollout.engine != "hf" else []
    task = recipe.task
    if (task.data or task.heldout) and task.name in recipe.eval.tasks:  # by rows of its own
        asked = task.model_dump(exclude_defaults=True)
    else:  # a task of reasoning-gym is measured with the options, and shown, as it is trained
        asked = task.model_dump(include={"options", "mixture", "chat"}, exclude_defaults=True)
    settings += [asked] if asked else []
    if recipe.eval.validation:  # questions of what is trained, whatever [eval] names
        long = recipe.rollout.model_dump(include={"truncate", "max_prompt_tokens"}, exclude_defaults=True)
        settings.append({"validation of": task.model_dump(exclude_defaults=True), **long})
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:12]


def base_path(recipe: Recipe, out: Path) -> Path | None:
    """Where the samples of a run's base lie; None where its own engine measures it."""
    return None if writes_its_base(recipe) else out / BASES / f"{base_key(recipe)}.jsonl"


def bases_to_measure(todo: Mapping[str, Recipe], out: Path) -> dict[Path, Recipe]:
    """The bases that nobody has measured yet, each once, and a recipe to measure it by."""
    wanted = {base_path(recipe, out): recipe for recipe in todo.values()}
    return {path: recipe for path, recipe in wanted.items() if path is not None and not path.is_file()}


def base_samples(recipe: Recipe, path: Path) -> None:
    """Draw the base model's graded samples into a file, in a worker."""
    with in_words():
        write_text(path, sample_lines(BEFORE, measure_base(recipe)))


def one_run(recipe: Recipe, out: Path, base: Path | None, until: int | None = None) -> None:
    """One recipe, in a worker, which may have done others before; `base` is the file of its base's samples.

    To its end, or until it halts after a rollout.
    """
    with in_words(), suppress(Diverged):
        forget_peak()
        samples = read_samples(base).get(BEFORE, {}) if base is not None else None
        train(recipe, out, resume=True, base=samples, shared=True, until=until)


def rollouts_done(recipe: Recipe, run: Path) -> int:
    """The rollout that a run has last written metrics of; all of them where it has ended, diverged or not."""
    return recipe.optim.rollouts if finished(run) else rollouts_under_way(recipe, last_step(run))


def rollouts_under_way(recipe: Recipe, step: int) -> int:
    """The rollouts of a run that goes on, by the last step that it wrote.

    Supervised training has none, and its updates are not known before: it has done nothing until it has ended.
    """
    return 0 if recipe.algorithm.name == "sft" else min(step, recipe.optim.rollouts - 1)
