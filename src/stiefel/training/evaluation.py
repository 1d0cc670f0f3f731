"""Scores before, during and after training: the base first, always on the same questions."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..artifacts import read_jsonl
from ..evaluate import Sample, evaluate
from ..recipe import Recipe
from ..scores import accuracy, by_question, paired_difference
from ..tasks import Sampling, Task, find_task

EVAL_SEED = 20_000  # apart from the training seeds, the same for every run
BEFORE, AFTER = "before", "after"

Progress = Callable[[str], None]
BaseSamples = dict[str, list[Sample]]  # by task


def during(rollout: int) -> str:
    """The name of an evaluation between the two."""
    return f"rollout {rollout}"


def measure(recipe: Recipe, model: Any, tokenizer: Any, when: str, progress: Progress) -> BaseSamples:
    """Graded samples of every evaluation task's fixed test questions; the model's mode is left as it was."""
    sampling = Sampling(
        samples=recipe.eval.samples,
        temperature=recipe.eval.temperature,
        top_p=recipe.eval.top_p,
        max_tokens=recipe.rollout.max_completion_tokens,
        seed=EVAL_SEED,
    )
    found = {}
    training = model.training
    model.eval()
    for task in tasks_of(recipe):
        progress(f"evaluating {task.name} ({when})")
        found[task.name] = evaluate(model, tokenizer, task, task.rows("test", recipe.eval.limit, 0), sampling)
    model.train(training)
    return found


def tasks_of(recipe: Recipe) -> list[Task]:
    """The recipe's evaluation tasks."""
    return [find_task(name) for name in recipe.eval.tasks]


def sample_lines(when: str, samples: BaseSamples) -> str:
    """Every graded completion of one evaluation, a JSON line each."""
    rows = [json.dumps({"when": when, **asdict(sample)}) for by_task in samples.values() for sample in by_task]
    return "".join(row + "\n" for row in rows)


def append_samples(path: Path, when: str, samples: BaseSamples) -> None:
    """Add one evaluation in one write."""
    with path.open("a") as file:
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
    return math.fsum(accuracy(questions(task)).mean for task in samples.values()) / len(samples)


def questions(samples: list[Sample]) -> Any:
    """Scores by question; one whose gold answer cannot be read is left out, of every evaluation alike."""
    return by_question((sample.question, sample.score) for sample in samples if sample.score is not None)


def compare_scores(phases: dict[str, BaseSamples]) -> dict[str, Any]:
    """Per task: the score before, after, their paired difference, each with its interval, and the way between."""
    scores = {}
    for task, samples in phases[AFTER].items():
        old, new = questions(phases[BEFORE][task]), questions(samples)
        way = {when: asdict(accuracy(questions(by_task[task]))) for when, by_task in phases.items()}
        scores[task] = {
            "before": way.pop(BEFORE),
            "after": way.pop(AFTER),
            "difference": asdict(paired_difference(old, new)),
            "during": way,
        }
    return scores
