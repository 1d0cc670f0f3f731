"""verl's `reward.custom_reward_function`: our graders, on all completions that wait at once."""

from __future__ import annotations

import asyncio
import json
import sys
import weakref
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import UserError
from ..recipe import Recipe
from ..rewards import Grade, GraderFailure, grade_all
from ..tasks import Task, measured_task, training_task
from ..training import without_end
from .failure import note_failure
from .handed import handed_recipe, read_handed


class Asked(NamedTuple):
    """A completion that waits for its grade."""

    completion: str
    answer: str
    columns: dict[str, Any]
    grade: asyncio.Future[Grade]


@dataclass
class Desk:
    """The completions of one task that wait while others are graded: our graders are quickest on many."""

    task: Task
    waiting: list[Asked] = field(default_factory=list)
    working: asyncio.Task[None] | None = None

    def take(self, asked: Asked) -> None:
        """One more; whoever grades takes it with the next batch."""
        self.waiting.append(asked)
        if self.working is None or self.working.done():
            self.working = asyncio.get_running_loop().create_task(self.work())

    async def work(self) -> None:
        """Grade until nothing waits."""
        while self.waiting:
            batch, self.waiting = self.waiting, []
            answer(batch, await asyncio.to_thread(outcomes, self.task, batch))


# a loop → its desks by (split, task); verl's reward workers have one loop each
DESKS: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, dict[tuple[str, str], Desk]] = weakref.WeakKeyDictionary()


async def compute_score(
    data_source: str, solution_str: str, ground_truth: str, extra_info: dict[str, Any] | None = None, **unused: Any
) -> dict[str, Any]:
    """The reward of one completion, as `stiefel train` gives it, with `acc` for filters and measurements.

    0 to 1, and −1 to 1 in training where overlong answers are shaped: verl's `dapo` manager adds its penalty to that.
    Raises UserError, and leaves a note by which our data set ends the run, where a gold cannot be read or a grader
    fails: verl itself would go on without the completion.
    """
    assert extra_info is not None
    told = read_handed()
    recipe = handed_recipe(told["recipe"])
    try:
        grade = await graded(recipe, told["directory"], data_source, solution_str, ground_truth, extra_info)
        acc = score_of(grade, ground_truth)
    except Exception:
        note_failure(Path(told["failed"]), extra_info["split"])
        raise
    shaped = recipe.algorithm.overlong_buffer > 0 and extra_info["split"] == "train"
    return {"score": 2.0 * acc - 1.0 if shaped else acc, "acc": acc, "pred": grade.extracted or ""}


def score_of(grade: Grade, gold: str) -> float:
    """The score of a completion; raises UserError where its gold cannot be read."""
    if grade.score is None:
        raise UserError(f"the answer {gold[:100]!r} cannot be read", grade.reason, "leave the row out of the data")
    return grade.score


async def graded(recipe: Recipe, directory: str, name: str, completion: str, gold: str, about: dict[str, Any]) -> Grade:
    """One completion's grade, of a batch with whatever waits beside it."""
    loop = asyncio.get_running_loop()
    desks, key = DESKS.setdefault(loop, {}), (about["split"], name)
    if key not in desks:
        desks[key] = Desk(task_named(recipe, directory, *key))
    text = without_end(completion, about["endings"])
    for stop in about["stops"]:
        text = text.partition(stop)[0]
    asked = Asked(about["opening"] + text, gold, json.loads(about["columns"]), loop.create_future())
    desks[key].take(asked)
    return await asked.grade


def outcomes(task: Task, batch: list[Asked]) -> list[Grade | Exception]:
    """Every completion's grade, or why it has none."""
    golds, columns = [asked.answer for asked in batch], [asked.columns for asked in batch]
    try:
        return [*grade_all(task.grader, [asked.completion for asked in batch], golds, columns)]
    except GraderFailure as failure:
        reasons = dict(failure.failures)
        return [
            grade if grade is not None else GraderFailure([(0, reasons[place])], [None])
            for place, grade in enumerate(failure.grades)
        ]
    except Exception as error:  # noqa: BLE001  raised again, of every one that waits: which of them it was is not known
        return [error] * len(batch)


def answer(batch: list[Asked], found: list[Grade | Exception]) -> None:
    """Hand every waiting completion what became of it."""
    for asked, outcome in zip(batch, found, strict=True):
        if isinstance(outcome, Exception):
            asked.grade.set_exception(outcome)
        else:
            asked.grade.set_result(outcome)


def task_named(recipe: Recipe, directory: str, split: str, name: str) -> Task:
    """The task of a row, as it is trained on or measured."""
    if directory not in sys.path:
        sys.path.insert(0, directory)
    return training_task(recipe.task) if split == "train" else measured_task(name, recipe.task)
