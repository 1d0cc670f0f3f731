"""A task's rows → the data sets that TRL trains on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from datasets import Dataset

from ..errors import UserError
from ..model import beyond_context, context_length, resolve_model
from ..recipe import Recipe
from ..tasks import Messages, Row, Task, prompt_tokens, shown, stated
from .golds import check_golds
from .prompt_room import PromptRoom

Progress = Callable[[str], None]


def training_rows(recipe: Recipe, task: Task, tokenizer: Any, progress: Progress = lambda line: None) -> Dataset:
    """A prompt for every rollout's place, in a seeded order; columns `prompt`, `answer` and `columns` (JSON).

    A prompt longer than `max_prompt_tokens`, or where that is 0 than what the model's context leaves beside its
    completion, is an error, loses its first tokens or is left out, as `truncate` says.
    """
    say_origin(task, progress)
    wanted = recipe.optim.rollouts * recipe.rollout.prompts
    asked = wanted
    while True:
        rows = task.rows("train", asked, recipe.run.seed)
        kept = fitting(recipe, rows, task, tokenizer)
        if len(kept) >= wanted:
            break
        asked *= 2  # rows that were left out are replaced by the next ones
    if len(kept) < len(rows):
        progress(f"prompts of more than {PromptRoom(recipe).words} are left out")
    check_context(recipe, kept[:wanted], tokenizer)
    check_golds(task, kept[:wanted])
    return Dataset.from_list([record(row) for row in kept[:wanted]])


def sft_rows(recipe: Recipe, task: Task, tokenizer: Any, progress: Progress = lambda line: None) -> Dataset:
    """Every training row once, as TRL's `prompt` and `completion`; a target that is too long or missing raises."""
    size = task.size
    if size is None:
        raise UserError(
            f"{task.name} has no end, and supervised training makes passes over its rows",
            "task.train_rows is 0, which takes all of them",
            "set task.train_rows",
        )
    say_origin(task, progress)
    every = task.rows("train", size, recipe.run.seed)
    rows = fitting(recipe, every, task, tokenizer)
    if len(rows) < size:
        progress(f"{size - len(rows)} prompts of more than {PromptRoom(recipe).words} are left out")
    records = [sft_record(row, task) for row in rows]
    check_targets(recipe, rows, task, tokenizer)
    check_context(recipe, rows, tokenizer)
    return Dataset.from_list(records)


def rows_digest(rows: Dataset) -> str:
    """A digest of everything that is trained on, in its order."""
    found = hashlib.sha256()
    for batch in rows.iter(batch_size=1000):
        found.update(json.dumps(batch, sort_keys=True).encode())
    return found.hexdigest()


def say_origin(task: Task, progress: Progress) -> None:
    """Say which rows are trained on, where they were read from somewhere."""
    origin = task.origin("train")
    if origin["source"] != "built in":
        progress(f"{task.name}: {stated(origin)}")


def record(row: Row) -> dict[str, Any]:
    """What TRL hands to the reward functions; JSON, because columns of one's own have any types and names."""
    return {"prompt": row.prompt, "answer": row.answer, "columns": json.dumps(dict(row.columns), default=str)}


def sft_record(row: Row, task: Task) -> dict[str, Any]:
    """Prompt and target, in the form of the prompt."""
    if not row.target:
        raise UserError(
            f"{task.name} has a row without a target", f"{start(row)} has no answer to learn", "leave it out"
        )
    if isinstance(row.prompt, str):
        return {"prompt": row.prompt, "completion": row.target}
    return {"prompt": row.prompt, "completion": [{"role": "assistant", "content": row.target}]}


def check_targets(recipe: Recipe, rows: list[Row], task: Task, tokenizer: Any) -> None:
    """Raise, naming the longest, where a target is longer than completions may be."""
    limit = recipe.rollout.max_completion_tokens
    lengths = [target_length(row, tokenizer) for row in rows]
    count, length = sum(length > limit for length in lengths), max(lengths)
    if count:
        among = f", the longest of {count} that are too long" if count > 1 else ""
        raise UserError(
            f"a target of {task.name} has {length} tokens{among}: {rows[lengths.index(length)].target[:60]!r}",
            f"rollout.max_completion_tokens is {limit}, and a target that is cut off teaches not to stop",
            f"set rollout.max_completion_tokens to {length} or more",
        )


def fitting(recipe: Recipe, rows: list[Row], task: Task, tokenizer: Any) -> list[Row]:
    """The rows whose prompts are short enough, or have been made so, as TRL is to get them; raises if there is none.

    Where prompts are too long and may not be changed, the error names the longest: a limit that it fits holds for all.
    """
    room, supervised = PromptRoom(recipe), recipe.algorithm.name == "sft"
    kept: list[Row] = []
    beyond: list[tuple[int, Row]] = []
    for row in rows:
        row = replace(row, prompt=shown(row.prompt, tokenizer, chat=task.chat))  # TRL renders messages itself
        length = prompt_length(row.prompt, tokenizer)
        limit = room.beside(target_length(row, tokenizer) if supervised else recipe.rollout.max_completion_tokens)
        if limit is None or length <= limit:
            kept.append(row)
        elif recipe.rollout.truncate == "left" and isinstance(row.prompt, str):
            kept.append(replace(row, prompt=last_tokens(row.prompt, limit, tokenizer)))
        elif recipe.rollout.truncate != "drop":
            beyond.append((length, row))
    if beyond:
        length, longest = max(beyond, key=lambda found: found[0])
        raise too_long(longest, length, room, task, len(beyond))
    if not kept:
        raise UserError(
            f"no prompt of {task.name} has at most {room.words}",
            "rollout.truncate = 'drop' leaves all of them out",
            room.wider(),
        )
    return kept


def check_context(recipe: Recipe, rows: list[Row], tokenizer: Any) -> None:
    """Raise, naming the longest row, where it and its completion can be longer than what the model was made for."""
    limit = context_length(resolve_model(recipe.model.path, recipe.model.revision))
    allowed = recipe.rollout.max_completion_tokens
    if not limit or 0 < recipe.rollout.max_prompt_tokens <= limit - allowed:
        return
    supervised = recipe.algorithm.name == "sft"
    prompts = [prompt_length(row.prompt, tokenizer) for row in rows]
    completions = [target_length(row, tokenizer) if supervised else allowed for row in rows]
    longest = max(range(len(rows)), key=lambda number: prompts[number] + completions[number])
    room = limit - prompts[longest]
    if completions[longest] > room:
        shorter = supervised or room < 1
        raise beyond_context(
            recipe.model.path,
            limit,
            prompts[longest],
            completions[longest],
            "give a model with a longer context, or shorter rows"
            if shorter
            else f"set rollout.max_completion_tokens to {room} or less",
            start(rows[longest]),
        )


def target_length(row: Row, tokenizer: Any) -> int:
    """Tokens of a row's target, the end of the sequence included."""
    return len(tokenizer(row.target, add_special_tokens=False)["input_ids"]) + 1


def prompt_length(prompt: str | Messages, tokenizer: Any) -> int:
    """Tokens of a prompt as the trainer will render it."""
    return len(prompt_tokens(prompt, tokenizer, chat=False))


def longest_prompt(rows: Dataset, tokenizer: Any) -> int:
    """Tokens of the longest prompt of a data set as TRL gets it."""
    return max(prompt_length(prompt, tokenizer) for prompt in rows["prompt"])


def last_tokens(prompt: str, limit: int, tokenizer: Any) -> str:
    """The longest end of a text that has at most `limit` tokens, special ones included."""
    assert tokenizer.is_fast, "transformers' slow tokenizers are gone"
    offsets = tokenizer(prompt, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
    for first, _ in offsets:
        if prompt_length(prompt[first:], tokenizer) <= limit:
            return prompt[first:]
    raise UserError(
        f"rollout.max_prompt_tokens = {limit} has no room for a prompt",
        "the special tokens of the tokenizer fill it",
        "set it higher",
    )


def too_long(row: Row, length: int, room: PromptRoom, task: Task, count: int) -> UserError:
    """The error of prompts that may not be cut, of which this one is the longest."""
    cut = "a chat cannot lose its first tokens: " if isinstance(row.prompt, list) else ""
    among = f", the longest of {count} that are too long" if count > 1 else ""
    return UserError(
        f"a prompt of {task.name} has {length} tokens{among}: {start(row)}",
        f"{cut}a prompt may have at most {room.words}",
        f"{room.wider(length)}, or rollout.truncate = 'drop'",
    )


def start(row: Row) -> str:
    """The beginning of a prompt, to recognise it by."""
    text = row.prompt if isinstance(row.prompt, str) else row.prompt[-1]["content"]
    return repr(text[:60])
