"""A new task: its rows, and the grader that reads what a model writes. In Stiefel its place is tasks/nano.py."""

import random

from stiefel.rewards import exact_after_mark
from stiefel.tasks import Row, Split, Task

TEST = range(5, 50, 5)  # numbers that no training sees
TRAIN = [number for number in range(1, 50) if number not in TEST]


def rows(split: Split, count: int, seed: int) -> list[Row]:
    """7+7? → 14; the test is the same for everyone, whatever the seed, and training rows never end."""
    numbers = list(TEST)[:count] if split == "test" else random.Random(seed).choices(TRAIN, k=count)
    return [Row(f"{number}+{number}?", str(2 * number), target=f">{2 * number}") for number in numbers]


nano_double = Task("nano-double", "a number added to itself", exact_after_mark, rows)
