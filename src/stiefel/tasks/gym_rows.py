"""Rows of reasoning-gym's tasks by index: those to train on, and those held out, which no seed ever trains on.

Row i of a data set with seed s is drawn with Random(s + i): another seed gives the same rows, shifted. So one seed
serves for all, and training and measuring have indices of their own. Where a task has few questions, as gcd up to 40,
other indices still ask the same ones; so a third of all questions, by a digest of their text, is held out as well,
whatever the task, the options and the seed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from itertools import count, islice
from typing import Any

from ..errors import UserError
from ..rewards import GYM_PREFIX, RowFailure, is_gym, made_rows
from .task import Messages, Task

Entry = dict[str, Any]  # question, answer (a text or None), metadata

HELD_OUT_INDICES = 2**20  # from 0; training draws from those above
INDICES = 2**32  # numpy's random state takes no seed above, and a task sets it to the index
SHARE = 3  # one question in so many is held out
PATIENCE = 300  # indices in a row that give nothing new
BATCH = 64  # rows that are asked for at once


def is_held_out(question: str) -> bool:
    """Whether a question is measured and never trained on."""
    return (
        int.from_bytes(hashlib.blake2b(question.encode("utf-8", "surrogatepass"), digest_size=8).digest()) % SHARE == 0
    )


def training_indices(seed: int, part: int) -> Iterator[int]:
    """Without end, all of them above those held out; other seeds and other parts of a mixture have others."""
    for place in count():
        drawn = hashlib.blake2b(f"{seed}-{part}-{place}".encode(), digest_size=8).digest()
        yield HELD_OUT_INDICES + int.from_bytes(drawn) % (INDICES - HELD_OUT_INDICES)


class Entries:
    """The entries of one task along some indices, made as far as they are asked for."""

    def __init__(self, name: str, options: Mapping[str, Any], indices: Iterator[int], held_out: bool) -> None:
        self.name, self.options, self.indices, self.held_out = name, options, indices, held_out
        self.found: list[Entry] = []
        self.seen: set[str] = set()
        self.misses = 0
        self.trouble = ""  # why the generator made no row, the last time

    def first(self, count: int) -> list[Entry]:
        """The first so many; fewer of those held out where there are no more different questions.

        Raises UserError where none can be made, or none is left to train on.
        """
        while len(self.found) < count and self.misses < PATIENCE:
            self.more(count - len(self.found))
        if len(self.found) < count and not (self.held_out and self.found):
            raise self.too_few()
        return self.found[:count]

    def more(self, wanted: int) -> None:
        """Make some more."""
        asked = min(BATCH, wanted * (SHARE if self.held_out else 1) + 1)
        try:
            for made in made_rows(self.name, self.options, list(islice(self.indices, asked))):
                if isinstance(made, str):
                    self.trouble = made
                elif is_held_out(made["question"]) == self.held_out and made["question"] not in self.seen:
                    self.found.append(made)
                    self.misses = -1
                    if self.held_out:  # a question is measured once, but may be trained on many times
                        self.seen.add(made["question"])
                self.misses += 1
                if self.misses >= PATIENCE:  # here, and not after a batch: what is held out is no matter of batches
                    return
        except RowFailure as error:
            raise UserError(
                f"{GYM_PREFIX}{self.name} makes no row with these options", str(error), "change its options"
            ) from error

    def too_few(self) -> UserError:
        """The error of a task that has no question left."""
        lost = f"{PATIENCE} rows held none " + ("of these" if self.held_out else "of the others")
        return UserError(
            f"{GYM_PREFIX}{self.name} has too few different questions with these options",
            f"one in {SHARE} is held out and never trained on, and {lost}"
            + (f"; its generator said {self.trouble}" if self.trouble else ""),
            "give it options with more questions",
        )


def question_of(prompt: str | Messages) -> str:
    """What a prompt asks: a text, or the last message of a chat."""
    return (prompt if isinstance(prompt, str) else prompt[-1]["content"]).strip()


def check_held_out(prompts: Iterable[str | Messages], task: Task, limit: int) -> None:
    """Raise UserError where one of the prompts that are trained on asks a question by which a task is measured."""
    if not is_gym(task.name):
        return
    measured = {question_of(row.prompt) for row in task.rows("test", limit, 0)}
    for number, prompt in enumerate(prompts, start=1):
        if question_of(prompt) in measured:
            raise UserError(
                f"row {number} of those to train on is held out: {question_of(prompt)[:80]!r}",
                f"{task.name}, which eval.tasks names, is measured by it: what was trained on measures nothing",
                "leave such rows out of your data; those of task.name = 'reasoning_gym:…' never overlap",
            )


def held_out_rows(name: str, options: Mapping[str, Any]) -> Entries:
    """The entries by which a task is measured, each question once."""
    return kept(name, json.dumps(options, sort_keys=True, default=str), -1, 0)


def training_rows(name: str, options: Mapping[str, Any], seed: int, part: int = 0) -> Entries:
    """The entries on which a run of that seed trains, of one part of a mixture."""
    return kept(name, json.dumps(options, sort_keys=True, default=str), seed, part)


@lru_cache(maxsize=64)
def kept(name: str, options: str, seed: int, part: int) -> Entries:
    """Entries that were made are not made again: an evaluation asks for its own several times in a run."""
    if seed < 0:
        return Entries(name, json.loads(options), iter(range(HELD_OUT_INDICES)), held_out=True)
    return Entries(name, json.loads(options), training_indices(seed, part), held_out=False)
