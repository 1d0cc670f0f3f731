"""Cells that would be one training twice are named before the first begins."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from stiefel.cli.options import plan_of
from stiefel.comparison.comparison import alike
from stiefel.recipe import load_grid


def test_a_method_that_has_no_use_for_an_axis_is_said_to_train_alike_on_it(write_grid: Callable[[str], Path]) -> None:
    axes = '[axes]\n"adapter.method" = ["lora", "full"]\n"adapter.rank" = [4, 8, 16]\n'
    assert list(alike(load_grid(write_grid(axes)).runs)) == [
        f"note: full-rank{rank} trains as full-rank4 does, for full has no use for adapter.rank; with one axis "
        '"adapter.method, adapter.rank" it can be left out'
        for rank in (8, 16)
    ]
    joined = '[axes]\n"adapter.method, adapter.rank" = [["lora", 4], ["lora", 8], ["full", 8]]\n"run.seed" = [0, 1]\n'
    assert list(alike(load_grid(write_grid(joined)).runs)) == []


@pytest.mark.parametrize(
    ("runs", "jobs", "words"),
    [
        (1, 2, "1 run"),
        (8, 2, "8 runs, 2 at a time"),
        (3, 8, "3 runs, 3 at a time"),
        (8, None, "8 runs, as many at a time as there is room for"),
    ],
)
def test_what_is_to_be_done_is_said_as_it_is(runs: int, jobs: int | None, words: str) -> None:
    assert plan_of(runs, jobs) == words
