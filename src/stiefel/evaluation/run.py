"""Questions → graded samples, a batch at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..rewards import grade_all
from ..tasks import Row, Sampling, Task, stops
from .hf import HFEngine
from .plan import Job, Room, job_seed, plan
from .sample import Engine, Question, Sample, ask


def evaluate(
    model: Any,
    tokenizer: Any,
    task: Task,
    rows: Sequence[Row],
    sampling: Sampling,
    progress: Callable[[int, int], None] | None = None,
) -> list[Sample]:
    """Sample every row and grade it, in batches of similar length; the same seed gives the same samples.

    Rows are rendered, stopped and graded as `stiefel eval` does. The global random state is left as it was. Raises
    GraderFailure where the grader itself fails.
    """
    questions = ask(task, rows, tokenizer)
    engine = HFEngine(model, tokenizer, sampling, stops(task, tokenizer))
    done: list[Sample] = []
    total = len(rows) * sampling.samples
    for jobs in plan([len(question.tokens) for question in questions], sampling.samples, sampling.max_tokens, Room()):
        done += sample_batch(engine, task, questions, jobs, sampling.seed)
        if progress is not None:
            progress(len(done), total)
    return sorted(done, key=lambda sample: (sample.question, sample.sample))


def sample_batch(
    engine: Engine, task: Task, questions: Sequence[Question], jobs: Sequence[Job], seed: int
) -> list[Sample]:
    """The graded completions of one batch, in its order."""
    asked = [questions[question] for question, _ in jobs]
    seeds = [job_seed(seed, task.name, job) for job in jobs]
    completions = engine([question.tokens for question in asked], seeds)
    grades = grade_all(
        task.grader,
        [question.opened + completion.text for question, completion in zip(asked, completions, strict=True)],
        [question.row.answer for question in asked],
        [question.row.columns for question in asked],
        [completion.truncated for completion in completions],
    )
    return [
        Sample(
            task=task.name,
            question=number,
            sample=sample,
            prompt=question.text,
            answer=question.row.answer,
            completion=completion.text,
            tokens=completion.tokens,
            truncated=completion.truncated,
            score=grade.score,
            extracted=grade.extracted,
            reason=grade.reason,
        )
        for (number, sample), question, completion, grade in zip(jobs, asked, completions, grades, strict=True)
    ]
