"""An evaluation with everything read but the weights: its questions, its plan, and what it is known by."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from ..errors import UserError
from ..model import end_ids, resolve_model
from ..tasks import Row, Sampling, Task, find_task, stops, tried
from .fitting import fitted
from .plan import Job, Room, plan
from .sample import Question, ask
from .settings import Wanted, check_numbers, resolved, room_for
from .subject import check_adapter, device_name, identity

DEFAULT_LIMIT = 500  # questions of a task that makes as many as it is asked for


@dataclass(frozen=True)
class Prepared:
    """What is drawn, in which batches, and the settings by which a later command knows the evaluation again."""

    wanted: Wanted
    task: Task
    tokenizer: Any
    questions: list[Question]
    sampling: Sampling
    stop: tuple[str, ...]
    batches: list[list[Job]]
    settings: dict[str, Any]

    @property
    def longest(self) -> int:
        """Tokens of the longest prompt and its completion."""
        return max(len(question.tokens) for question in self.questions) + self.sampling.max_tokens


def prepare_evaluation(wanted: Wanted) -> Prepared:
    """Read data, tokenizer and digests; raises UserError for whatever does not fit, before any weight is loaded."""
    task, sampling, rows = asked_of(wanted)
    origin = task.origin("test")
    tokenizer = wanted.subject.tokenizer()
    end_ids(tokenizer, None, wanted.subject.turn_ends)  # a name that is no token is refused here
    questions = ask(task, rows, tokenizer)
    longest = max(len(question.tokens) for question in questions)
    directory = resolve_model(wanted.subject.model, wanted.subject.revision)
    sampling = fitted(sampling, wanted.subject.model, directory, longest, named="--max-tokens")
    room = room_for(wanted)
    stop = stops(task, tokenizer)
    settings = {
        **identity(wanted.subject),
        "dtype": wanted.subject.dtype,
        "task": task.name,
        "origin": origin,
        "questions": {"count": len(rows), "digest": questions_digest(rows)},
        "prompts": json_digest([question.tokens for question in questions]),
        "sampling": asdict(sampling),
        "stop": list(stop),
        "engine": wanted.engine,
        "device": device_name(),
        "batch": room.record(),
    }
    batches = planned(questions, sampling, room)
    return Prepared(wanted, task, tokenizer, questions, sampling, stop, batches, settings)


def asked_of(wanted: Wanted) -> tuple[Task, Sampling, list[Row]]:
    """The task with its sampling and its rows; raises UserError for what is wrong with them, whatever the model is."""
    check_numbers(wanted)
    task = task_of(wanted)
    sampling = resolved(task.sampling, wanted.drawn)
    check_adapter(wanted.subject)
    rows = rows_of(task, wanted.limit)
    tried(task, rows[0])
    return task, sampling, rows


def planned(questions: Sequence[Question], sampling: Sampling, room: Room) -> list[list[Job]]:
    """The batches of an evaluation."""
    return plan([len(question.tokens) for question in questions], sampling.samples, sampling.max_tokens, room)


def as_begun(prepared: Prepared, settings: Mapping[str, Any]) -> Prepared:
    """The evaluation in the batches with which it began, by a version that made others, unless --batch says how many.

    Every completion depends on what it was drawn with.
    """
    begun = settings.get("batch", {})
    if prepared.wanted.batch is not None or not {"sequences", "tokens"} <= begun.keys() <= vars(Room()).keys():
        return prepared
    room = Room(**begun)
    batches = planned(prepared.questions, prepared.sampling, room)
    return replace(prepared, batches=batches, settings={**prepared.settings, "batch": room.record()})


def task_of(wanted: Wanted) -> Task:
    """The task that is meant: one of ours, or a reward and the columns of the rows that it grades."""
    return find_task(
        wanted.task,
        wanted.data,
        wanted.data_revision,
        wanted.split,
        prompt_column=wanted.prompt_column,
        answer_column=wanted.answer_column,
        chat=wanted.chat,
        options=wanted.options,
    )


def rows_of(task: Task, limit: int | None) -> list[Row]:
    """The first `limit` test rows, or all there are."""
    rows = task.rows("test", limit or task.origin("test").get("rows", DEFAULT_LIMIT), 0)
    if not rows:
        raise UserError(f"{task.name} has no test questions", "there is nothing to measure", "give data with rows")
    return rows


def questions_digest(rows: Sequence[Row]) -> str:
    """What tells these questions and their answers from any others, however a model is shown them."""
    return json_digest([[row.prompt, row.answer, dict(row.columns)] for row in rows])


def json_digest(value: Any) -> str:
    """A digest of what JSON writes."""
    text = json.dumps(value, sort_keys=True, default=str)
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
