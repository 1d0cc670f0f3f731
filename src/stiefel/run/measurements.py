"""Scores before, during and after training: the base first, always on the same questions."""

from __future__ import annotations

import hashlib
import json
import math
import re
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState

from ..artifacts import append_text, read_jsonl
from ..errors import UserError
from ..evaluation import Sample, Writer, evaluate, fitted, readable, unreadable, unreadable_warning
from ..model import resolve_model
from ..progress import SILENCE
from ..recipe import Recipe
from ..scores import Values, average_at, chances, cut_off_warning, paired_difference, pass_at, question_means, usual_ks
from ..tasks import Row, Sampling, Task, is_validation_name, prompt_tokens, rendered
from ..training import finite_logits, gathered, is_sharded
from .loading import load_pair
from .questions import questions_of, tasks_of

EVAL_SEED = 20_000  # apart from the training seeds, the same for every run
BEFORE, AFTER = "before", "after"
LONGER = "set it higher, or ask for shorter answers"
TRAINING = "training "  # `rollout N` names an evaluation

Progress = Callable[[str], None]
BaseSamples = dict[str, list[Sample]]  # by task


def during(rollout: int) -> str:
    """The name of an evaluation between the two."""
    return f"rollout {rollout}"


@dataclass(frozen=True)
class By:
    """By what a run is measured: the model itself, or its engine, which processes write, and where that is kept."""

    writer: Writer | None = None
    shares: tuple[int, int] | None = None
    speaks: bool = True
    journals: Path | None = None

    def journal(self, task: Task, rows: Sequence[Row]) -> Path | None:
        """Where this process keeps what is done of these questions, so that a killed evaluation goes on."""
        if self.journals is None:
            return None
        state, asked = PartialState(), repr([(row.prompt, row.answer) for row in rows])
        questions = hashlib.sha256(asked.encode()).hexdigest()[:12]
        name = re.sub(r"\W", "_", task.name)
        return self.journals / f"{name}-{questions}-{state.process_index}-of-{state.num_processes}.jsonl"


def measure(
    recipe: Recipe,
    model: Any,
    tokenizer: Any,
    when: str,
    progress: Progress,
    tasks: Sequence[Task] | None = None,
    by: By | None = None,
) -> BaseSamples:
    """Graded samples of every evaluation task's fixed test questions; the model is left as it was, and where it was.

    `tasks` are the recipe's, where a run holds them already, so that a file which is changed meanwhile changes no
    question. A question whose gold answer cannot be read is left out of the scores, with a warning. Raises UserError
    for a task of which none can be read, or whose answers can be longer than what the model was made for.
    """
    found = {}
    tasks, by = tasks_of(recipe) if tasks is None else tasks, by or By()
    samplings = [sampling_for(recipe, task, tokenizer) for task in tasks]
    training, home = model.training, model.device
    model.eval()
    moves = by.writer is None and not is_sharded(model)  # where an engine writes, the model may be too large for a GPU
    if moves:
        model.to(PartialState().device)  # before training it may still be beside its GPU
    for task, sampling in zip(tasks, samplings, strict=True):
        progress(f"evaluating {task.name} ({when})")
        rows, counted = questions_of(recipe, task), now_and_then(task, when, progress)
        samples = evaluate(
            model,
            tokenizer,
            task,
            rows,
            sampling,
            counted,
            writer=by.writer,
            shares=by.shares,
            speaks=by.speaks,
            journal=by.journal(task, rows),
        )
        lost, questions = unreadable(samples), len({sample.question for sample in samples})
        if lost:
            progress(unreadable_warning(task.name, lost, questions))
        if len(lost) == questions:
            raise UserError(
                f"{task.name} has no gold answer that can be read",
                next(iter(lost.values()), "there are no questions"),
                f"mend its answers, or {left_out(task)}",
            )
        if cut := cut_off_at(recipe, task, samples, sampling, when):
            progress(cut)
        found[task.name] = samples
    if moves:
        model.to(home)
    model.train(training)
    return found


def now_and_then(task: Task, when: str, progress: Progress) -> Callable[[int, int], None]:
    """A callback for the samples of one evaluation, which says how many there are where that takes long."""
    spoke = time.monotonic()

    def line(done: int, total: int) -> None:
        nonlocal spoke
        if done < total and time.monotonic() - spoke >= SILENCE:
            spoke = time.monotonic()
            progress(f"evaluating {task.name} ({when}): {done}/{total} samples")

    return line


def cut_off_at(recipe: Recipe, task: Task, samples: Sequence[Sample], sampling: Sampling, when: str) -> str:
    """What is said where many answers to a task's questions were cut off."""
    by_task = recipe.eval.sampling == "task"
    return cut_off_warning(
        statistics.fmean(sample.truncated for sample in samples),
        f"the answers to {task.name} ({when})",
        f"{sampling.max_tokens} tokens" if by_task else f"rollout.max_completion_tokens = {sampling.max_tokens}",
        "the task's own limit is too short for this model" if by_task else LONGER,
    )


def sampling_for(recipe: Recipe, task: Task, tokenizer: Any) -> Sampling:
    """`sampling_of`, held against the model's context: raises where a question and its answer can be longer."""
    rows = questions_of(recipe, task)
    longest = max((len(prompt_tokens(row.prompt, tokenizer, chat=task.chat)) for row in rows), default=0)
    by_task = recipe.eval.sampling == "task"
    shorter = "leave out eval.sampling" if by_task else "lower rollout.max_completion_tokens"
    return fitted(
        sampling_of(recipe, task),
        recipe.model.path,
        resolve_model(recipe.model.path, recipe.model.revision),
        longest,
        named="rollout.max_completion_tokens, without eval.sampling = 'task'",
        shorter=f"{shorter}, or {left_out(task)}",
        of=f"a question of {task.name}",
    )


def left_out(task: Task) -> str:
    """How a task is not measured any more."""
    return "leave out eval.validation" if is_validation_name(task.name) else f"leave {task.name} out of eval.tasks"


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


def same_questions(recipe: Recipe, tasks: Sequence[Task], tokenizer: Any, samples: BaseSamples) -> None:
    """Raise where samples of the base are not of the questions that the tasks ask now."""
    for task in tasks:
        rows = questions_of(recipe, task)
        asked = {
            (number, rendered(row.prompt, tokenizer, chat=task.chat), row.answer) for number, row in enumerate(rows)
        }
        if {(sample.question, sample.prompt, sample.answer) for sample in samples.get(task.name, [])} != asked:
            raise UserError(
                f"the base was measured on other questions of {task.name} than there are now",
                "a gain is the difference on the same questions",
                "restore the rows as they were, or begin again with another --out or --force",
            )


def sample_lines(when: str, samples: BaseSamples) -> str:
    """Every graded completion of one evaluation, a JSON line each."""
    rows = [json.dumps({"when": when, **asdict(sample)}) for by_task in samples.values() for sample in by_task]
    return "".join(row + "\n" for row in rows)


def append_samples(path: Path, when: str, samples: BaseSamples) -> None:
    """Add one evaluation in one write."""
    append_text(path, sample_lines(when, samples))


def in_training(rollout: int) -> str:
    """The name of a rollout's own completions, which are no evaluation."""
    return f"{TRAINING}{rollout}"


def read_samples(path: Path) -> dict[str, BaseSamples]:
    """Every evaluation in a samples file, in order; what was written in training is left aside."""
    found: dict[str, BaseSamples] = {}
    for row in read_jsonl(path) if path.is_file() else []:
        when = row.pop("when")
        if when.startswith(TRAINING):
            continue
        found.setdefault(when, {}).setdefault(row["task"], []).append(Sample(**row))
    return found


def mean_score(samples: BaseSamples) -> float:
    """The mean over tasks of their accuracy, or that on a validation split, by which the best adapter is chosen."""
    chosen_by = [found for name, found in samples.items() if is_validation_name(name)] or list(samples.values())
    return math.fsum(average_at(readable(found)).mean for found in chosen_by) / len(chosen_by)


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
            "pass_at": pass_scores(values),
        }
    return scores


def pass_scores(values: Mapping[str, Values]) -> dict[str, Any]:
    """pass@k of every phase for the powers of two up to n samples a question and n itself: k → as avg@n has it."""
    n = min(len(scores) for found in values.values() for scores in found.values())
    scores = {}
    for k in usual_ks(n):
        way = {when: asdict(pass_at(found, k)) for when, found in values.items()}
        scores[str(k)] = {
            "before": way.pop(BEFORE),
            "after": way.pop(AFTER),
            "difference": asdict(paired_difference(chances(values[BEFORE], k), chances(values[AFTER], k))),
            "during": way,
        }
    return scores


def measure_base(recipe: Recipe) -> BaseSamples:
    """Graded samples of the base model on the recipe's evaluation tasks."""
    model, tokenizer = load_pair(recipe)
    return measured(recipe, model, tokenizer, BEFORE, lambda line: None)


def measured(
    recipe: Recipe,
    model: Any,
    tokenizer: Any,
    when: str,
    progress: Progress,
    tasks: Sequence[Task] | None = None,
    by: By | None = None,
) -> BaseSamples:
    """`measure`; raises NoProbabilities, in every process alike, where the model's logits are no numbers."""
    kind, rounded = PartialState().device.type, recipe.model.compute == "bfloat16"
    whole = gathered(model) if by is None or by.writer is None else nullcontext()
    with whole, finite_logits(model), torch.autocast(kind, torch.bfloat16, enabled=rounded):  # as it is trained
        return measure(recipe, model, tokenizer, when, progress, tasks, by)


def longest_measured(recipe: Recipe, tasks: Sequence[Task], tokenizer: Any) -> int:
    """Tokens of the longest question and answer of the tasks, for which an engine must have room."""
    longest = 0
    for task in tasks:
        rows, limit = questions_of(recipe, task), sampling_for(recipe, task, tokenizer).max_tokens
        lengths = [len(prompt_tokens(row.prompt, tokenizer, chat=task.chat)) for row in rows]
        longest = max(longest, max(lengths, default=0) + limit)
    return longest
