"""The real data through the tasks: every gold is accepted. Where the data are: STIEFEL_DATA."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from stiefel.rewards import grade_all
from stiefel.tasks import find_task

DATA = Path(os.environ.get("STIEFEL_DATA", ""))

pytestmark = pytest.mark.skipif(not os.environ.get("STIEFEL_DATA"), reason="STIEFEL_DATA names no directory of data")

FILES = {
    "gsm8k": ("gsm8k_test.jsonl", 1319),
    "svamp": ("svamp_test.jsonl", 1000),
    "mmlu": ("mmlu_stem_500.jsonl", 500),
    "humaneval": ("humaneval.jsonl", 164),
    "humaneval-chat": ("humaneval.jsonl", 164),
    "mbpp": ("mbpp.jsonl", 974),
}
SLOW = ("humaneval", "humaneval-chat", "mbpp")  # a sandbox each: the whole files are benchmarks/grade.py's


@pytest.mark.parametrize("name", FILES)
def test_every_gold_of_the_real_data_is_accepted_through_its_task(name: str) -> None:
    file, size = FILES[name]
    task = find_task(name, str(DATA / file))
    rows = task.rows("test", 10_000, 0)
    assert len(rows) == task.origin()["rows"] == size
    rows = rows[:: len(rows) // 12] if name in SLOW else rows
    grades = grade_all(
        task.grader, [row.target for row in rows], [row.answer for row in rows], [row.columns for row in rows]
    )
    assert [(row.text, grade) for row, grade in zip(rows, grades, strict=True) if grade.score != 1.0] == []


def test_gsm8k_trains_on_the_real_training_rows() -> None:
    task = find_task("gsm8k", str(DATA / "gsm8k_train_1000.jsonl"))
    rows = task.rows("train", 1000, 0)
    grades = grade_all(task.grader, [row.target for row in rows], [row.answer for row in rows])
    assert [grade.score for grade in grades] == [1.0] * 1000
    assert not any("<<" in row.target for row in rows)
