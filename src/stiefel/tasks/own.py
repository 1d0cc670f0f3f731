"""Records of a user's own data → a task."""

from __future__ import annotations

import json
import string
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from ..errors import UserError, nearest
from ..recipe import TaskSettings
from ..rewards import GYM_PREFIX, TEST_COLUMNS, Grader, choice_texts
from .columns import MISSING, at
from .hub import read_hub
from .opened import Opened, hub_origin, looks_like_a_path, open_file
from .passes import passes
from .table import SUFFIXES, Record, Table
from .task import AS_MANY_AS_FIT, Messages, Row, Sampling, Split, Task


@dataclass(frozen=True)
class OwnRows:
    """Checked rows by number, how many there are, whether they are chats, and where they came from."""

    row: Callable[[int], Row]
    size: int
    chat: bool
    origin: dict[str, Any]


def own_task(settings: TaskSettings, grader: Grader) -> Task:
    """The rows of `task.data`, gone through pass after pass in an order of the seed's; raises for a row that is none.

    Every row of a file is checked now; a data set of the hub may hold millions, so each of its rows is checked when it
    is drawn.
    """
    own = own_rows(settings, last=settings.train_rows)

    def rows(split: Split, count: int, seed: int) -> list[Row]:
        assert split == "train", "a user's own data is trained on; evaluation tasks are named, see `measured_own`"
        return [own.row(number) for number in islice(passes(own.size, seed), count)]

    return Task(
        settings.name, described(settings.data, own), grader, rows, own.size, origin=lambda split="train": own.origin
    )


def measured_own(settings: TaskSettings, grader: Grader, split: str = "test") -> Task:
    """Rows of one's own as they are measured: the first ones, each asked once, with as many tokens as fit the model.

    The rows are those of `task.heldout`, of a hub id that `split`; without it those that `task.train_rows` leaves out
    of the training; without either the very rows that are trained on, which `origin` then says.
    """
    if settings.heldout:
        here = {"data": settings.heldout, "split": split}
        if settings.heldout != settings.data:
            here["revision"] = ""  # a revision is that of `task.data`
        own = own_rows(settings.model_copy(update=here))
    else:
        own = own_rows(settings, last=settings.train_rows)
        rest = int(own.origin["rows"]) - own.size
        own = own_rows(settings, first=own.size) if rest else replace(own, origin={**own.origin, "trained_on": True})

    def rows(split: Split, count: int, seed: int) -> list[Row]:
        assert split == "test", "what is trained on is made by `own_task`"
        return [own.row(number) for number in range(min(count, own.size))]

    return Task(
        settings.name,
        described(settings.heldout or settings.data, own),
        grader,
        rows,
        sampling=Sampling(max_tokens=AS_MANY_AS_FIT),
        origin=lambda split="test": {**own.origin, "rows": own.size},
    )


def described(place: str, own: OwnRows) -> str:
    """A task's description: where its rows are, and of which kind."""
    return f"{place}, {'chat' if own.chat else 'text'} prompts"


def own_rows(settings: TaskSettings, first: int = 0, last: int = 0) -> OwnRows:
    """The rows of `task.data` from number `first` on and before `last`, 0 being the end; `origin` counts all."""
    opened = open_own(settings)
    table = opened.table
    size = min(len(table), last or len(table)) - first
    if size < 1:
        raise UserError(f"{settings.data} is empty", "there are no rows in it", "give data with rows")

    @cache
    def row(number: int) -> Row:
        place = first + number
        return make_row(table[place], f"row {place + 1} of {settings.data}", settings)

    chat = check_rows(table, size, row, first)
    return OwnRows(row, size, chat, {**opened.origin, "rows": len(table)})


def open_own(settings: TaskSettings) -> Opened:
    """The records of a file, or of one split of a hub data set (downloaded if it is not cached)."""
    data, split, path = settings.data, settings.split, Path(settings.data).expanduser()
    if path.is_file():
        return open_file(path, settings.revision)
    if looks_like_a_path(data) and not path.is_dir():
        raise UserError(
            f"no data at {data}",
            "there is no such file, and it has not the form of a hub id (owner/name)",
            f"give an existing file ({', '.join(SUFFIXES)}) or a hub id",
        )
    table, commit = read_hub(data, split, revision=settings.revision)
    return Opened(table, data, hub_origin(data, "", split, commit))


def check_rows(table: Table, size: int, row: Callable[[int], Row], first: int = 0) -> bool:
    """Raise for a broken row, or for prompts of both kinds; True if the prompts are chat messages."""
    chat = isinstance(row(0).prompt, list)
    if isinstance(table, list):
        for number in range(size):
            if isinstance(row(number).prompt, list) != chat:
                raise UserError(
                    f"row {first + number + 1} is {'text' if chat else 'chat'}, the rows before it are not",
                    "prompts are rendered in one way",
                    "make all prompts texts, or all lists of messages",
                )
    return chat


def reward_of(settings: TaskSettings) -> str:
    """What grades rows of one's own: `task.reward`, or else the task's own name, where that is a function's."""
    return settings.reward or (settings.name if is_function(settings.name) else "")


def is_function(name: str) -> bool:
    """True for a name that can only be `module:function`."""
    return ":" in name and not name.startswith(("lm-eval:", GYM_PREFIX))


def make_row(record: Record, place: str, settings: TaskSettings) -> Row:
    """One record with its prompt and answer checked."""
    value = answer_or_tests(record, place, settings)
    if reward_of(settings) == "choice":
        value = letter_of_index(value, record.get("choices"))
    answer = answer_of(value, place, settings.answer_column)
    prompt = prompt_of(column(record, "prompt_column", place, settings), place)
    if settings.chat and isinstance(prompt, str):
        prompt = [{"role": "user", "content": prompt}]
    others = {key: value for key, value in record.items() if key not in ("completion", "answer")}
    return Row(prompt, answer, target=answer, columns={"prompt": prompt, **others})


def answer_or_tests(record: Record, place: str, settings: TaskSettings) -> Any:
    """The value of the answer's column; programs have none unless it is named: their rows have tests."""
    unnamed = settings.answer_column == TaskSettings().answer_column
    if (
        reward_of(settings) != "code"
        or not unnamed
        or isinstance(at(record, settings.answer_column), str | int | float)
    ):
        return column(record, "answer_column", place, settings)
    if not any(record.get(name) is not None for name in (*TEST_COLUMNS, "inputs")):
        raise UserError(
            f"{place} has no tests",
            f"the reward code runs them; the columns there are {', '.join(map(repr, record)) or 'none'}",
            f"give a column {', '.join(TEST_COLUMNS)}, or inputs and outputs",
        )
    return ""


def column(
    record: Record, setting: Literal["prompt_column", "answer_column"], place: str, settings: TaskSettings
) -> Any:
    """The value of the prompt's or the answer's column; `a.b` is b in the table a, where none is called so itself."""
    named = {"prompt_column": settings.prompt_column, "answer_column": settings.answer_column}
    name, what = named.pop(setting), setting.removesuffix("_column")
    value = at(record, name)
    if value is MISSING:
        others = record.keys() - named.values()  # the other setting's column is not this one's
        raise UserError(
            f"{place} has no column {name!r}",
            f"task.{setting} names it; the columns are {', '.join(map(repr, record)) or 'none'}",
            f"set task.{setting}: {nearest(name, others)}" if others else f"add a column {name!r} with the {what}",
        )
    return value


def letter_of_index(value: Any, choices: Any) -> Any:
    """An index from 0 as its letter: as the text "2" it might be taken for the choice that reads 2."""
    if not isinstance(value, int) or isinstance(value, bool) or not isinstance(choices, list | tuple | Mapping):
        return value
    letters = string.ascii_uppercase[: len(choice_texts(choices))]
    return letters[value] if 0 <= value < len(letters) else value


def answer_of(value: Any, place: str, name: str) -> str:
    """A text as it is, a number as JSON writes it."""
    if isinstance(value, str):
        return value
    if isinstance(value, int | float):
        return json.dumps(value)
    raise UserError(
        f"{place} has no answer: {name} = {value!r}"[:300],
        "an answer is a text or a number",
        "leave that row out, or name the right column in task.answer_column",
    )


def prompt_of(value: Any, place: str) -> str | Messages:
    """A text, or chat messages, that says something."""
    match value:
        case str() if value.strip():
            return value
        case [_, *_] if all(is_message(message) for message in value):
            if any(message["content"].strip() for message in value):
                return [{"role": message["role"], "content": message["content"]} for message in value]
    if value in ("", []) or (isinstance(value, str) and not value.strip()):
        raise UserError(f"{place} has an empty prompt", "a model cannot answer nothing", "leave that row out")
    raise UserError(
        f"{place} has no prompt that can be read: {value!r}"[:300],
        'a prompt is a text, or a list of messages {"role": "user", "content": "..."}',
        "name the right column in task.prompt_column, or mend that row",
    )


def is_message(value: Any) -> bool:
    """True for a role and a text, and nothing that a chat template might be expected to show besides."""
    return (
        isinstance(value, dict)
        and value.keys() == {"role", "content"}
        and all(isinstance(v, str) for v in value.values())
    )
