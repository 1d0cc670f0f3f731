"""A recipe → a run directory."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from datasets.utils.logging import disable_progress_bar
from peft import PeftModel
from transformers.trainer_callback import PrinterCallback, ProgressCallback

from ..adapter import attach, certificate_of
from ..artifacts import (
    ADAPTER,
    EVAL,
    MANIFEST,
    METRICS,
    RECIPE,
    SAMPLES,
    check_room,
    read_json,
    versions,
    write_json,
    write_text,
)
from ..errors import UserError
from ..evaluate import Sample, Sampling, evaluate
from ..methods import find_method
from ..recipe import Recipe
from ..saved import load, save
from ..scores import accuracy, by_question, paired_difference
from ..tasks import Task, find_task
from ..weights import load_model, load_tokenizer
from .metrics import RolloutMetrics
from .rewards import GradedReward
from .settings import grpo_config, rate_factor
from .trainer import GRPOTrainer

EVAL_SEED = 20_000  # apart from the training seeds, the same for every run

Progress = Callable[[str], None]
BaseSamples = dict[str, list[Sample]]  # by task


class Diverged(UserError):
    """A policy whose probabilities are no longer numbers."""


def status(out: Path) -> str:
    """What a directory's manifest says of its run: running, finished, diverged; empty where there is no manifest."""
    if not (out / MANIFEST).is_file():
        return ""
    match read_json(out / MANIFEST):
        case {"status": str(word)}:
            return word
    raise UserError(f"{out / MANIFEST} is no manifest", "it says no status", "remove the directory and train again")


def finished(out: Path) -> bool:
    """True for a run directory whose run came to its end."""
    return status(out) in ("finished", "diverged")


def train(
    recipe: Recipe,
    out: Path,
    *,
    resume: bool = False,
    force: bool = False,
    base: BaseSamples | None = None,
    progress: Progress = lambda line: None,
    on_row: Callable[[dict[str, Any]], None] = lambda row: None,
) -> None:
    """Train as the recipe says and leave a run directory.

    An existing directory is refused without `resume` or `force`. With `resume` a finished run is left alone and an
    unfinished one begins again, which ends in the same weights; with `force` it is replaced once everything is loaded.
    `base` holds samples of the base model, by task, where the caller has them already. Raises Diverged, after noting
    it in the manifest, where the policy stops giving probabilities.
    """
    disable_progress_bar()
    again = resume and bool(status(out))
    if again:
        same_recipe(recipe, out)
        if finished(out):
            progress(f"{out} is finished")
            return
        progress(f"{out} was interrupted and holds no checkpoint: beginning again")
    check_room(out, force=force or again)
    check_names(recipe)
    task = find_task(recipe.task.name)
    tasks = [find_task(name) for name in recipe.eval.tasks]
    model, tokenizer = load_pair(recipe)
    dataset = training_rows(recipe, task, tokenizer)
    before = base if base is not None else measure(recipe, model, tokenizer, tasks, "before", progress)
    model = adapted(recipe, model)

    if out.is_dir():
        shutil.rmtree(out)
    out.mkdir(parents=True)
    manifest = {"status": "running", "seed": recipe.run.seed, "versions": versions()}
    write_text(out / RECIPE, recipe.to_toml())
    write_json(out / MANIFEST, manifest)
    reward = GradedReward(task.grader)
    metrics = RolloutMetrics(out / METRICS, reward.take_correct, on_row)
    trainer = GRPOTrainer(
        model,
        reward,
        grpo_config(recipe, out),
        dataset,
        processing_class=tokenizer,
        callbacks=[metrics],
        kl_every=recipe.run.kl_every,
        weight_decay_on=recipe.optim.weight_decay_on,
        rate_factor=rate_factor(recipe.optim),
    )
    for callback in (PrinterCallback, ProgressCallback):
        trainer.remove_callback(callback)
    metrics.watch(trainer)
    try:
        trainer.train()
    except RuntimeError as error:
        if "probability tensor contains" not in str(error):  # torch.multinomial's words for NaN, inf and negatives
            raise
        reason = f"the policy gave no probabilities any more in rollout {trainer.rollout}"
        write_json(out / MANIFEST, {**manifest, "status": "diverged", "reason": reason})
        raise Diverged(
            f"{out}: {reason}", "its weights grew beyond what can be computed with", "a smaller optim.lr"
        ) from error
    model.eval()

    after = measure(recipe, model, tokenizer, tasks, "after", progress)
    write_samples(out / SAMPLES, {"before": before, "after": after})
    write_json(out / EVAL, compare_scores(before, after))
    save(model, out / ADAPTER)
    trainable, total = model.get_nb_trainable_parameters()
    layers = [asdict(layer) for layer in certificate_of(model).layers]
    write_json(
        out / MANIFEST,
        {
            **manifest,
            "status": "finished",
            "parameters": total - trainable,
            "trainable_parameters": trainable,
            "base": {layer["name"]: layer["fingerprint"] for layer in layers},
        },
    )


def check_names(recipe: Recipe) -> None:
    """Raise for a task, method or option that does not exist, before anything is loaded."""
    for name in (recipe.task.name, *recipe.eval.tasks):
        find_task(name)
    if not recipe.adapter.path:
        find_method(recipe.adapter.method).resolve_options(recipe.adapter.options)


def load_pair(recipe: Recipe) -> tuple[Any, Any]:
    """The base model and its tokenizer, on the recipe's number of threads."""
    if recipe.run.threads:
        torch.set_num_threads(recipe.run.threads)
    model = load_model(recipe.model.path, recipe.model.dtype, recipe.model.revision)
    return model, load_tokenizer(recipe.model.path, recipe.model.revision)


def measure_base(recipe: Recipe) -> BaseSamples:
    """Graded samples of the base model on the recipe's evaluation tasks."""
    model, tokenizer = load_pair(recipe)
    tasks = [find_task(name) for name in recipe.eval.tasks]
    return measure(recipe, model, tokenizer, tasks, "before", lambda line: None)


def same_recipe(recipe: Recipe, out: Path) -> None:
    """Raise if the run in `out` was started with other settings."""
    if not (out / RECIPE).is_file() or (out / RECIPE).read_text() != recipe.to_toml():
        raise UserError(
            f"{out} was started with another recipe",
            "going on with changed settings would mix two experiments in one run",
            "give the same settings, or another --out",
        )


def training_rows(recipe: Recipe, task: Task, tokenizer: Any) -> Dataset:
    """A prompt for every rollout's place, in a seeded order; too long a prompt raises."""
    rows = task.rows("train", recipe.optim.rollouts * recipe.rollout.prompts, recipe.run.seed)
    for row in rows:
        length = len(tokenizer(row.prompt)["input_ids"])
        if length > recipe.rollout.max_prompt_tokens:
            raise UserError(
                f"a prompt of {task.name} has {length} tokens: {row.prompt[:60]!r}",
                f"rollout.max_prompt_tokens is {recipe.rollout.max_prompt_tokens}",
                f"set rollout.max_prompt_tokens to {length} or more",
            )
    return Dataset.from_list([asdict(row) for row in rows])


def adapted(recipe: Recipe, model: Any) -> PeftModel:
    """The model with the recipe's adapter: a saved one, or a new start."""
    settings = recipe.adapter
    options: dict[str, Any] = dict(settings.options)
    if settings.path:
        return load(model, settings.path)
    return attach(
        model,
        settings.method,
        r=settings.rank,
        alpha=settings.alpha,
        target_modules=settings.targets,
        dropout=settings.dropout,
        seed=recipe.run.seed,
        **options,
    )


def measure(
    recipe: Recipe, model: Any, tokenizer: Any, tasks: list[Task], when: str, progress: Progress
) -> BaseSamples:
    """Graded samples of every task's fixed test questions."""
    sampling = Sampling(
        samples=recipe.eval.samples,
        temperature=recipe.eval.temperature,
        top_p=recipe.eval.top_p,
        max_tokens=recipe.rollout.max_completion_tokens,
        seed=EVAL_SEED,
    )
    found = {}
    for task in tasks:
        progress(f"evaluating {task.name} {when} training")
        found[task.name] = evaluate(model, tokenizer, task, task.rows("test", recipe.eval.limit, 0), sampling)
    return found


def write_samples(path: Path, phases: dict[str, BaseSamples]) -> None:
    """Every graded completion, with `when` = before or after training."""
    rows = [
        json.dumps({"when": when, **asdict(sample)})
        for when, by_task in phases.items()
        for samples in by_task.values()
        for sample in samples
    ]
    write_text(path, "".join(row + "\n" for row in rows))


def compare_scores(before: BaseSamples, after: BaseSamples) -> dict[str, Any]:
    """Per task: the score before, after, and their paired difference, each with its interval."""
    scores = {}
    for task, samples in after.items():
        old, new = (by_question((s.question, s.score) for s in phase) for phase in (before[task], samples))
        scores[task] = {
            "before": asdict(accuracy(old)),
            "after": asdict(accuracy(new)),
            "difference": asdict(paired_difference(old, new)),
        }
    return scores
