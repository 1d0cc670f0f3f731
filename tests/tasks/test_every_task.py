"""What holds for every task of the tuple: a new one is covered by being there, once its two made rows are."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from typing import Any

import pytest

from stiefel.errors import UserError
from stiefel.rewards import grade_all
from stiefel.tasks import BENCHMARKS, TASKS, Benchmark, Row, find_task
from stiefel.tasks.columns import value_of
from stiefel.tasks.reader import made_row
from tests.tasks.layouts import LAYOUTS

OWN = {"math", "code", "choice"}
every = pytest.mark.parametrize("benchmark", BENCHMARKS, ids=lambda benchmark: benchmark.name)
layout = pytest.mark.parametrize("layout", ["hub", "local"])


def record_of(benchmark: Benchmark, layout: str) -> dict[str, Any]:
    return vars(LAYOUTS[benchmark.name])[layout]


def row_of(benchmark: Benchmark, layout: str) -> Row:
    return made_row(benchmark, record_of(benchmark, layout), "row 1")


def file_of(tmp_path: Path, records: list[dict[str, Any]]) -> str:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return str(path)


def test_every_name_is_there_once_and_has_its_made_rows() -> None:
    names = [task.name for task in TASKS]
    assert len(set(names)) == len(names)
    assert LAYOUTS.keys() == {benchmark.name for benchmark in BENCHMARKS}


@every
@layout
def test_the_template_shows_the_question_and_leaves_no_blank(benchmark: Benchmark, layout: str) -> None:
    row = row_of(benchmark, layout)
    assert isinstance(row.prompt, str)
    assert all(words in row.prompt for words in LAYOUTS[benchmark.name].shows)
    blanks = [name for name in re.findall(r"\{(\w+)\}", benchmark.template) if f"{{{name}}}" in row.prompt]
    assert blanks == []
    assert "�" not in row.prompt


@every
@layout
def test_the_grader_accepts_the_gold_and_refuses_another_answer(benchmark: Benchmark, layout: str) -> None:
    if benchmark.name == "ifeval" and importlib.util.find_spec("lm_eval") is None:
        pytest.skip("lm-eval is not installed")
    row, made = row_of(benchmark, layout), LAYOUTS[benchmark.name]
    completions = [completion for completion in (row.target, made.right) if completion]
    if layout == "hub" or not row.target:
        assert completions, "a made row says what is right"
    grades = grade_all(
        benchmark.grader, [*completions, made.wrong], [row.answer] * (len(completions) + 1),
        [row.columns] * (len(completions) + 1),
    )  # fmt: skip
    assert [grade.score for grade in grades] == [1.0] * len(completions) + [0.0], grades


@every
@layout
def test_both_layouts_load_from_a_file_that_says_where_it_is(benchmark: Benchmark, layout: str, tmp_path: Path) -> None:
    path = file_of(tmp_path, [record_of(benchmark, layout)])
    task = find_task(benchmark.name, path)
    assert task.rows("test", 10, 0) == [row_of(benchmark, layout)]
    assert task.rows("train", 3, 0) == [row_of(benchmark, layout)] * 3
    origin = task.origin()
    assert (origin["source"], origin["path"], origin["rows"]) == ("file", path, 1)
    assert re.fullmatch("[0-9a-f]{64}", origin["sha256"])


@every
def test_a_missing_or_empty_column_is_named(benchmark: Benchmark, tmp_path: Path) -> None:
    record = record_of(benchmark, "hub")
    for names in benchmark.columns.values():
        top = next(name for name in names if value_of(record, (name,)) is value_of(record, names)).partition(".")[0]
        without = {name: value for name, value in record.items() if name != top and name not in names}
        with pytest.raises(UserError, match=f"row 1 of .* has no column {re.escape(' or '.join(names))}"):
            find_task(benchmark.name, file_of(tmp_path, [without])).rows("test", 1, 0)
        if "." in names[0]:
            continue
        for nothing in ("", "  ", None, []):
            with pytest.raises(UserError, match=f"row 2 of .* has an empty {re.escape(' or '.join(names))}"):
                find_task(benchmark.name, file_of(tmp_path, [record, {**without, top: nothing}])).rows("test", 2, 0)


@every
def test_it_says_where_its_rows_are_and_how_it_is_sampled(benchmark: Benchmark) -> None:
    assert (benchmark.hub is None) == (benchmark.name in OWN)
    if benchmark.hub is not None:
        assert re.fullmatch(r"[\w.-]+/[\w.-]+", benchmark.hub.id)
        assert benchmark.hub.test or benchmark.hub.train
        assert (benchmark.hub.test_rows > 0) == bool(benchmark.hub.test)
        assert (benchmark.hub.train_rows > 0) == bool(benchmark.hub.train)
        assert benchmark.hub.seen
    sampling = benchmark.sampling
    assert sampling.samples == 1 or sampling.temperature > 0, "greedy samples are all alike"
    assert 32 <= sampling.max_tokens <= 16_384
    assert "sampling" in benchmark.source


@every
def test_a_task_is_found_without_its_data_being_read(benchmark: Benchmark) -> None:
    """The hub is out of reach here: what is read at once would raise."""
    task = find_task(benchmark.name)
    assert (task.name, task.sampling, task.chat, task.stop) == (
        benchmark.name,
        benchmark.sampling,
        benchmark.chat,
        benchmark.stop,
    )
    with pytest.raises(UserError, match=r"--data FILE.*columns" if benchmark.hub else "no data of its own"):
        task.rows("test", 1, 0)


def test_tasks_made_here_take_no_data() -> None:
    assert find_task("nano-sort").origin() == {"source": "built in", "split": "test"}
    with pytest.raises(UserError, match="nano-sort takes no data"):
        find_task("nano-sort", "rows.jsonl")


def test_an_unknown_task_is_named_with_the_nearest() -> None:
    with pytest.raises(UserError, match="did you mean gsm8k"):
        find_task("gms8k")
