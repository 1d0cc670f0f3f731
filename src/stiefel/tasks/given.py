"""Completions that a file holds, each with its gold: records → what a task's grader is called with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..errors import UserError, nearest
from ..rewards import GRADERS, BatchGrader, Grader, is_gym, reward_function
from .benchmark import BadRow, Benchmark, as_text
from .columns import MISSING, value_of
from .gym_given import given_entry
from .opened import open_table
from .reader import made_row
from .registry import BENCHMARKS, MADE_HERE, find_task
from .table import Record, Table, parse, read_file, unreadable

ANSWER = ("answer",)


@dataclass(frozen=True)
class GivenTask:
    """What `grade` needs of a task: its grader, and its columns where it has any."""

    name: str
    grader: Grader
    benchmark: Benchmark | None
    answer: str = ""  # the column of the gold, where it is named
    options: Mapping[str, Any] = field(default_factory=dict)  # of a task of reasoning-gym


@dataclass(frozen=True)
class Given:
    """One line: a completion and what its grader is told; `trouble` where its gold cannot be read."""

    completion: str
    answer: Any
    columns: dict[str, Any]
    trouble: str = ""
    truncated: bool = False  # the limit cut it off


def find_given(name: str, options: Mapping[str, Any] | None = None) -> GivenTask:
    """A task, one of the graders alone, or a function of the user's, module:function; options are reasoning-gym's."""
    if is_gym(name) or options:
        return GivenTask(name, find_task(name, options=options).grader, None, options=options or {})
    for benchmark in BENCHMARKS:
        if benchmark.name == name:
            return GivenTask(name, benchmark.grader, benchmark)
    for task in MADE_HERE:
        if task.name == name:
            return GivenTask(name, task.grader, None)
    if name in GRADERS:
        return GivenTask(name, GRADERS[name], None)
    if ":" in name:
        return GivenTask(name, reward_function(name), None)
    known = [task.name for task in MADE_HERE] + [benchmark.name for benchmark in BENCHMARKS]
    raise UserError(f"unknown task {name!r}", "there is no such task or grader", nearest(name, {*known, *GRADERS}))


def golds_of(task: GivenTask, data: str) -> Table | None:
    """The rows of --data, whose columns stand beside the completions; None without it."""
    if not data:
        return None
    if task.benchmark is not None:
        return open_table(task.benchmark, data, "", "", "test").table
    if not Path(data).is_file():
        raise UserError(f"no file {data}", f"{task.name} has no hub id of its own", "give an existing file in --data")
    return read_file(Path(data))


def given_lines(path: Path, task: GivenTask, golds: Table | None) -> Iterator[Given]:
    """Every line of a file; raises UserError that names the first line which is no completion with a gold."""
    row = 0
    try:
        with path.open(encoding="utf-8-sig") as lines:
            for number, line in enumerate(lines, start=1):
                if not line.strip():
                    continue
                place = f"{path} line {number}"
                beside = golds[row] if golds is not None and row < len(golds) else {}
                yield given(task, {**beside, **parse(line, place)}, place)
                row += 1
    except (OSError, UnicodeDecodeError) as error:
        raise unreadable(path, error) from error
    if golds is not None and row != len(golds):
        raise UserError(
            f"{path} has {row} completions, the data {len(golds)} rows",
            "line by line, a completion is graded by the row at its place",
            "give as many of both, or put the golds into the lines themselves",
        )


def given(task: GivenTask, record: Record, place: str) -> Given:
    """A line's completion, gold and columns; raises UserError where one is missing."""
    return replace(with_gold(task, record, place), truncated=truncated_of(record, place))


def truncated_of(record: Record, place: str) -> bool:
    """Whether the completion was cut off: the column `truncated`, where there is one."""
    match record.get("truncated", False):
        case bool() as truncated:
            return truncated
        case None:
            return False
        case value:
            raise UserError(
                f"{place} has truncated {value!r}"[:200],
                "it says whether the limit cut the completion off",
                "give true or false, or leave the column out",
            )


def with_gold(task: GivenTask, record: Record, place: str) -> Given:
    """A line's completion, gold and columns, as `given`."""
    completion = completion_of(record, place)
    if is_gym(task.name):
        return Given(completion, "", given_entry(task.name, task.options, record, place))
    if isinstance(task.grader, BatchGrader) and task.grader.by_row:
        return Given(completion, "", {name: value for name, value in record.items() if name != "completion"})
    columns = task.benchmark.columns if task.benchmark is not None else {}
    names = (task.answer,) if task.answer else tuple(dict.fromkeys((*ANSWER, *columns.get("answer", ()))))
    answer = value_of(record, names)
    if answer is MISSING and task.benchmark is not None and "answer" not in columns:
        row = made_row(task.benchmark, record, place)  # its gold is in columns of other names
        return Given(completion, row.answer, dict(row.columns))
    if answer is MISSING:
        raise UserError(
            f"{place} has no {' or '.join(names)}",
            f"{task.name} grades a completion by it; the columns there are {', '.join(record)}",
            'a line is {"completion": "...", "answer": "..."}; or give the task\'s rows in --data',
        )
    try:
        gold = task.benchmark.gold(answer) if task.benchmark is not None else as_text(answer)
    except BadRow as reason:
        return Given(completion, answer, {}, f"unreadable gold: {reason}")
    return Given(completion, gold, columns_for(task, record))


def columns_for(task: GivenTask, record: Record) -> dict[str, Any]:
    """What else the grader is told: a benchmark's choices, everything for a function of the user's."""
    if task.benchmark is not None:
        choices = value_of(record, task.benchmark.columns.get("choices", ()))
        return {} if choices is MISSING else {"choices": choices}
    if ":" in task.name:
        return {name: value for name, value in record.items() if name not in ("completion", "answer")}
    return {}


def completion_of(record: Record, place: str) -> str:
    """A text, or the one message of an assistant."""
    match record.get("completion", MISSING):
        case str() as text:
            return text
        case [{"role": "assistant", "content": str() as text}]:
            return text
        case value:
            found = "no completion" if value is MISSING else f"a completion that cannot be read: {value!r}"[:200]
            raise UserError(
                f"{place} has {found}",
                "a completion is a text, or a list of one message of an assistant",
                '{"completion": "...", "answer": "..."}',
            )
