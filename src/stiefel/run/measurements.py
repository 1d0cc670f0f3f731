"""Scores before, during and after training: the base first, always on the same questions."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from accelerate import PartialState

from ..artifacts import read_jsonl, room_for
from ..errors import UserError
from ..evaluation import Sample, evaluate, readable, unreadable, unreadable_warning
from ..model import beyond_context, context_length, resolve_model
from ..recipe import Recipe
from ..scores import average_at, paired_difference, question_means
from ..tasks import Sampling, Task, measured_task, prompt_tokens
from ..training import finite_logits
from .loading import load_pair

EVAL_SEED = 20_000  # apart from the training seeds, the same for every run
BEFORE, AFTER = "before", "after"

Progress = Callable[[str], None]
BaseSamples = dict[str, list[Sample]]  # by task


def during(rollout: int) -> str:
    """The name of an evaluation between the two."""
    return f"rollout {rollout}"


def measure(recipe: Recipe, model: Any, tokenizer: Any, when: str, progress: Progress) -> BaseSamples:
    """Graded samples of every evaluation task's fixed test questions; the model is left as it was, and where it was.

    A question whose gold answer cannot be read is left out of the scores, with a warning. Raises UserError for a task
    of which none can be read, or whose answers can be longer than what the model was made for.
    """
    found = {}
    for task in tasks_of(recipe):
        check_context(recipe, task, tokenizer)
    training, home = model.training, model.device
    model.eval()
    model.to(PartialState().device)  # before training it may still be beside its GPU
    for task in tasks_of(recipe):
        progress(f"evaluating {task.name} ({when})")
        samples = evaluate(model, tokenizer, task, task.rows("test", recipe.eval.limit, 0), sampling_of(recipe, task))
        lost, questions = unreadable(samples), len({sample.question for sample in samples})
        if lost:
            progress(unreadable_warning(task.name, lost, questions))
        if len(lost) == questions:
            raise UserError(
                f"{task.name} has no gold answer that can be read",
                next(iter(lost.values()), "there are no questions"),
                "mend its answers, or leave it out of eval.tasks",
            )
        found[task.name] = samples
    model.to(home)
    model.train(training)
    return found


def check_context(recipe: Recipe, task: Task, tokenizer: Any) -> None:
    """Raise where a question and its answer can be longer than what the model was made for."""
    limit, sampling = context_length(resolve_model(recipe.model.path, recipe.model.revision)), sampling_of(recipe, task)
    if not limit:
        return
    rows = task.rows("test", recipe.eval.limit, 0)
    longest = max((len(prompt_tokens(row.prompt, tokenizer, chat=task.chat)) for row in rows), default=0)
    if longest + sampling.max_tokens > limit:
        key = "leave out eval.sampling" if recipe.eval.sampling == "task" else "lower rollout.max_completion_tokens"
        instead = f"{key}, or leave {task.name} out of eval.tasks"
        raise beyond_context(
            recipe.model.path, limit, longest, sampling.max_tokens, instead, f"a question of {task.name}"
        )


def sampling_of(recipe: Recipe, task: Task) -> Sampling:
    """How a task's questions are answered: as [eval] says, or as the task is usually measured."""
    if recipe.eval.sampling == "task":
        return replace(task.sampling, seed=EVAL_SEED)
    return Sampling(
        samples=recipe.eval.samples,
        temperature=recipe.eval.temperature,
        top_p=recipe.eval.top_p,
        max_tokens=recipe.rollout.max_completion_tokens,
        seed=EVAL_SEED,
    )


def tasks_of(recipe: Recipe) -> list[Task]:
    """The recipe's evaluation tasks."""
    return [measured_task(name, recipe.task) for name in recipe.eval.tasks]


def sample_lines(when: str, samples: BaseSamples) -> str:
    """Every graded completion of one evaluation, a JSON line each."""
    rows = [json.dumps({"when": when, **asdict(sample)}) for by_task in samples.values() for sample in by_task]
    return "".join(row + "\n" for row in rows)


def append_samples(path: Path, when: str, samples: BaseSamples) -> None:
    """Add one evaluation in one write."""
    with room_for(path), path.open("a") as file:
        file.write(sample_lines(when, samples))


def read_samples(path: Path) -> dict[str, BaseSamples]:
    """Every evaluation in a samples file, in order."""
    found: dict[str, BaseSamples] = {}
    for row in read_jsonl(path) if path.is_file() else []:
        when = row.pop("when")
        found.setdefault(when, {}).setdefault(row["task"], []).append(Sample(**row))
    return found


def mean_score(samples: BaseSamples) -> float:
    """The mean over tasks of their accuracy, by which the best adapter is chosen."""
    return math.fsum(average_at(readable(task)).mean for task in samples.values()) / len(samples)


def compare_scores(phases: dict[str, BaseSamples]) -> dict[str, Any]:
    """Per task: the score before, after, their paired difference, each with its interval, and the way between.

    A question whose gold could not be read is left out, of every evaluation alike; `unreadable` counts them.
    """
    scores = {}
    for task in phases[AFTER]:
        lost = {question for by_task in phases.values() for question in unreadable(by_task[task])}
        values = {
            when: {question: found for question, found in readable(by_task[task]).items() if question not in lost}
            for when, by_task in phases.items()
        }
        way = {when: asdict(average_at(found)) for when, found in values.items()}
        scores[task] = {
            "before": way.pop(BEFORE),
            "after": way.pop(AFTER),
            "difference": asdict(paired_difference(question_means(values[BEFORE]), question_means(values[AFTER]))),
            "during": way,
            "unreadable": len(lost),
        }
    return scores


def measure_base(recipe: Recipe) -> BaseSamples:
    """Graded samples of the base model on the recipe's evaluation tasks."""
    model, tokenizer = load_pair(recipe)
    return measured(recipe, model, tokenizer, BEFORE, lambda line: None)


def measured(recipe: Recipe, model: Any, tokenizer: Any, when: str, progress: Progress) -> BaseSamples:
    """`measure`; raises NoProbabilities, in every process alike, where the model's logits are no numbers."""
    with finite_logits(model):
        return measure(recipe, model, tokenizer, when, progress)
