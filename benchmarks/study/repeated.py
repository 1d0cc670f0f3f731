"""Do rows repeat? Some are drawn at random and run again, by the code as it is now."""

from __future__ import annotations

import random
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from multiprocessing import get_context
from typing import Any

from benchmarks.rows import NANO, Asked, asked_of, code, one, table
from benchmarks.study.decided import t_interval

DRAWN = {"nano": 5, "nano_ablations": 2, "nano_cap": 2}  # rows of each table


def drawn(seed: int = 0) -> list[tuple[str, Asked]]:
    """Rows of each table, without replacement."""
    dice = random.Random(seed)
    found = []
    for name, count in DRAWN.items():
        rows = table(name)
        found += [(name, asked_of(row)) for row in dice.sample(rows, min(count, len(rows)))]
    return found


def repeated(jobs: int = 2) -> dict[str, Any]:
    """Every drawn row's reward as it is kept and as it comes now, beside what other seeds of that run reached."""
    asked = drawn()
    with ProcessPoolExecutor(jobs, get_context("spawn")) as pool:
        again = list(pool.map(one, [each for _, each in asked], [NANO] * len(asked)))
    rows = [compared(name, each, row) for (name, each), (row, _) in zip(asked, again, strict=True)]
    return {"code": code(), "rows": rows}


def compared(name: str, asked: Asked, again: dict[str, Any]) -> dict[str, Any]:
    """A row beside itself.

    `interval` is where one run of another seed would lie with 95% chance: Student's t for a single value, from the
    kept rows that differ in their seed alone.
    """
    like = [row for row in table(name) if same_but_seed(asked_of(row), asked)]
    (kept,) = (row for row in like if row["seed"] == asked.seed)
    low, high = of_one_more([row["reward"] for row in like])
    return {
        **asdict(asked),
        "table": name,
        "committed": kept["reward"],
        "rerun": again["reward"],
        "equal": kept["reward"] == again["reward"],
        "interval": [low, high],
        "within": low <= again["reward"] <= high,
        "code": kept["code"],
    }


def same_but_seed(one: Asked, other: Asked) -> bool:
    """Whether two runs differ in their seed alone."""
    return asdict(one) | {"seed": 0} == asdict(other) | {"seed": 0}


def of_one_more(values: Sequence[float]) -> tuple[float, float]:
    """Where one more value would lie: the mean's interval, √(n + 1) times as wide."""
    low, high = t_interval(values)
    middle, half = (low + high) / 2, (high - low) / 2 * (len(values) + 1) ** 0.5
    return middle - half, middle + half
