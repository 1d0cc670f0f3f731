"""Questions → graded samples, a batch at a time, each process its share of the batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from accelerate import PartialState
from accelerate.utils import gather_object

from ..engine import EngineLost
from ..errors import SaidElsewhere
from ..rewards import GraderFailure, grade_all
from ..tasks import Row, Sampling, Task, stops
from .hf import HFEngine
from .journal import append, whole_batches
from .plan import Job, Room, job_seed, plan
from .sample import Engine, Question, Sample, ask

Writer = Callable[[Sampling, Sequence[str]], Engine]  # of a task's sampling and the texts that end an answer
AT_ONCE = Room(sequences=512, tokens=0, whole=True)  # for an engine that makes its own batches; a kill loses so many


def evaluate(
    model: Any,
    tokenizer: Any,
    task: Task,
    rows: Sequence[Row],
    sampling: Sampling,
    progress: Callable[[int, int], None] | None = None,
    *,
    writer: Writer | None = None,
    journal: Path | None = None,
    shares: tuple[int, int] | None = None,
    speaks: bool = True,
) -> list[Sample]:
    """Sample every row and grade it, in batches of similar length; the same seed gives the same samples.

    Rows are rendered, stopped and graded as `stiefel eval` does. `writer` gives what writes the completions in place of
    the model itself. `shares` is (this one's number, how many there are) of the processes that write, each its part of
    the same batches; all of them return all samples, of those that speak: the others write what one of these does. In
    `journal` the batches that are done are kept, and not written again by whoever comes with the same file. The global
    random state is left as it was. Raises GraderFailure or EngineLost, in every process, where the grader or the engine
    fails in one.
    """
    state = PartialState()
    number, of = (state.process_index, state.num_processes) if shares is None else shares
    questions = ask(task, rows, tokenizer)
    ends = stops(task, tokenizer)
    room = Room() if writer is None else AT_ONCE
    batches = plan([len(question.tokens) for question in questions], sampling.samples, sampling.max_tokens, room)
    mine = batches[number::of] if number < of else []
    done = whole_batches(journal, mine) if journal is not None else []
    engine = HFEngine(model, tokenizer, sampling, ends) if writer is None else writer(sampling, ends)
    total = len(rows) * sampling.samples
    failure: GraderFailure | EngineLost | None = None
    for jobs in mine[batches_in(done, mine) :]:
        try:
            batch = sample_batch(engine, task, questions, jobs, sampling.seed)
        except (GraderFailure, EngineLost) as error:
            failure = error
            break
        if journal is not None:
            append(journal, batch)
        done += batch
        if progress is not None:
            progress(min(total, len(done) * of), total)
    gathered: list[tuple[list[Sample], GraderFailure | EngineLost | None]]
    gathered = gather_object([(done if speaks else [], failure)])
    for process, (_, one) in enumerate(gathered):
        if isinstance(one, EngineLost) and process != state.process_index:
            raise SaidElsewhere(one.what, one.why, one.instead)
        if one is not None:
            raise one
    every = [sample for samples, _ in gathered for sample in samples]
    return sorted(every, key=lambda sample: (sample.question, sample.sample))


def batches_in(done: Sequence[Sample], batches: Sequence[Sequence[Job]]) -> int:
    """How many whole batches the first samples are."""
    count = passed = 0
    while count < len(batches) and passed + len(batches[count]) <= len(done):
        passed += len(batches[count])
        count += 1
    return count


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
