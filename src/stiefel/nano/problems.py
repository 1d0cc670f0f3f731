"""The problems nano knows: chains of sums (the skill RL trains), reversing and sorting (skills it may forget)."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

LETTERS = "abcdefgh"
Split = Literal["train", "test"]


@dataclass(frozen=True)
class Problem:
    """A prompt that ends in "?" and the text that must follow ">" in the completion."""

    prompt: str
    answer: str


def arithmetic(rng: random.Random) -> Problem:
    """Two to four numbers, added or subtracted from left to right; every total on the way lies between 0 and 99."""
    total = rng.randint(1, 99)
    text = str(total)
    for _ in range(rng.randint(1, 3)):
        subtract = total == 99 or (total > 0 and rng.random() < 0.5)
        number = rng.randint(1, total if subtract else 99 - total)
        total += -number if subtract else number
        text += f"{'-' if subtract else '+'}{number}"
    return Problem(f"{text}?", str(total))


def reverse(rng: random.Random) -> Problem:
    """Four to six letters, to be written backwards."""
    word = "".join(rng.choices(LETTERS, k=rng.randint(4, 6)))
    return Problem(f"r{word}?", word[::-1])


def sort(rng: random.Random) -> Problem:
    """Four to six letters, to be written in alphabetical order."""
    word = "".join(rng.choices(LETTERS, k=rng.randint(4, 6)))
    return Problem(f"s{word}?", "".join(sorted(word)))


PROBLEMS: dict[str, Callable[[random.Random], Problem]] = {
    "arithmetic": arithmetic,
    "reverse": reverse,
    "sort": sort,
}


def split_of(prompt: str) -> Split:
    """A tenth of all prompts, chosen by their digest, is the test split: no training of any kind sees it."""
    return "test" if hashlib.sha256(prompt.encode()).digest()[0] < 26 else "train"


def problems(kind: str, split: Split, seed: int) -> Iterator[Problem]:
    """An endless stream of the problems of one kind and split; the same seed gives the same stream."""
    rng = random.Random(f"{kind}-{split}-{seed}")
    make = PROBLEMS[kind]
    while True:
        problem = make(rng)
        if split_of(problem.prompt) == split:
            yield problem
