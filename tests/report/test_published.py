"""Published scores stand beside ours: of the same method, task and metric, as fractions."""

from __future__ import annotations

from typing import Any

import pytest

from stiefel.recipe.recipe import make_recipe
from stiefel.report.cells import cells
from stiefel.report.runs import read_runs
from stiefel.report.table import TableRow, table
from stiefel.report.words import notes

from .conftest import OTHER, TASK, Maker

PAPER = {
    "source": "A paper, Table 1",
    "percent": True,
    "metric": {TASK: "pass@4", OTHER: "avg"},
    "average_of": [TASK, OTHER],
    "scores": {
        "base": {TASK: 40.0},
        "rlpo": {TASK: [73.33, 0.5], OTHER: 87.0, "average": [80.17, 1.0]},
        "lora": {TASK: 62.4, "aime24": 72.22},
    },
}
FOUR = ([[1, 0, 0, 0], [0, 0, 0, 0]], [[1, 1, 0, 0], [0, 0, 0, 1]])


def rows_of(make: Maker) -> dict[str, TableRow]:
    return {row.series.method: row for row in table(read_runs(make.root))}


def cell(rows: dict[str, TableRow], method: str, column: str) -> str:
    found = cells(list(rows.values()))
    (line,) = [line for line in found.body if line[0] == method]
    return line[found.header.index(column)]


def test_a_published_score_stands_beside_ours_in_its_own_metric(make: Maker) -> None:
    for method in ("rlpo", "lora", "pissa"):
        make.run(method, right=FOUR, expected=PAPER)
    rows = rows_of(make)
    assert cell(rows, "rlpo", f"{TASK}: pass@4") == "0.500 → 1.000"
    assert cell(rows, "rlpo", f"{TASK}: pass@4, published") == "0.400 → 0.733 ± 0.005"
    assert cell(rows, "lora", f"{TASK}: pass@4, published") == "0.400 → 0.624"
    assert cell(rows, "pissa", f"{TASK}: pass@4, published") == "—", "of this method nothing was published"
    assert cell(rows, "rlpo", f"{OTHER}: avg, published") == "0.870"
    header = cells(list(rows.values())).header
    assert header.index(f"{TASK}: pass@4, published") == header.index(f"{TASK}: pass@4") + 1


def test_an_average_is_that_of_the_same_tasks_each_in_its_metric(make: Maker) -> None:
    make.run("rlpo", right=FOUR, expected=PAPER)
    rows = rows_of(make)
    found = rows["rlpo"].published["average"]
    assert (found.our_before, found.our_after) == ((0.5 + 0.125) / 2, (1.0 + 0.375) / 2)
    assert cell(rows, "rlpo", "average") == "0.312 → 0.688"
    assert cell(rows, "rlpo", "average, published") == "0.802 ± 0.010"


def test_what_was_not_measured_has_no_column_and_is_said(make: Maker) -> None:
    make.run("lora", expected={**PAPER, "average_of": ["aime24"]})  # one sample a question: no pass@4
    header = cells(list(rows_of(make).values())).header
    assert not [name for name in header if "published" in name]
    (note,) = [note for note in notes(read_runs(make.root), table(read_runs(make.root))) if "Published" in note]
    assert note.startswith("Published scores are of: A paper, Table 1. Not measured here: ")
    assert "aime24 of lora (avg 0.722)" in note
    assert f"{TASK} of lora (pass@4 0.624)" in note


def test_a_note_says_the_source_once_for_all_runs(make: Maker) -> None:
    for seed in (0, 1):
        for method in ("rlpo", "lora"):
            make.run(method, seed=seed, right=FOUR, expected=PAPER)
    assert (
        len([note for note in notes(read_runs(make.root), table(read_runs(make.root))) if "A paper, Table 1" in note])
        == 1
    )


@pytest.mark.parametrize(
    ("written", "run"),
    [("lora+dora", "dora"), ("dora", "dora+lora"), ("rlpo+dora", "dora+rlpo"), ("lora", "lora")],
)
def test_a_method_is_known_however_it_is_written(written: str, run: str) -> None:
    expected = make_recipe({"expected": {"scores": {written: {TASK: 0.5}}}}).expected
    assert expected.of(run)[TASK].mean == 0.5


@pytest.mark.parametrize(("written", "run"), [("lora", "dora"), ("dora", "rlpo+dora"), ("base", "lora")])
def test_another_method_is_another_one(written: str, run: str) -> None:
    assert make_recipe({"expected": {"scores": {written: {TASK: 0.5}}}}).expected.of(run) == {}


def test_a_score_without_a_method_is_every_ones_but_the_bases(make: Maker) -> None:
    expected = {"scores": {TASK: 0.7}}
    make.run("rlpo", expected=expected)
    assert cell(rows_of(make), "rlpo", f"{TASK}: avg, published") == "0.700"
    assert make_recipe({"expected": expected}).expected.of("base") == {}


def test_an_older_runs_expectations_are_still_read(make: Maker) -> None:
    """Percentages by column under a method, or a method's average by its name, as recipes had them."""
    make.run("rlpo", expected={"scores": {"rlpo": {"AIME24": [73.33, 0.0]}, "lora": 42.5}})
    rows = rows_of(make)
    assert not [name for name in cells(list(rows.values())).header if "published" in name]


def one_cell(make: Maker, column: str, **settings: Any) -> str:
    make.run(**settings)
    rows = rows_of(make)
    return cell(rows, next(iter(rows)), column)


def test_the_trained_share_is_of_the_base(make: Maker) -> None:
    assert one_cell(make, "of the base") == "6.4%"


def test_peak_memory_is_the_largest_of_the_run(make: Maker) -> None:
    assert one_cell(make, "peak memory, MiB") == "605"


def test_pass_at_k_of_one_sample_is_no_column_of_its_own(make: Maker) -> None:
    make.run()
    assert not [name for name in cells(list(rows_of(make).values())).header if "pass@" in name]


def test_pass_at_k_over_seeds_is_each_questions_mean(make: Maker) -> None:
    make.run(seed=0, right=([[0, 0], [0, 0]], [[1, 0], [0, 0]]))
    make.run(seed=1, right=([[0, 0], [0, 0]], [[1, 0], [1, 0]]))
    (row,) = rows_of(make).values()
    found = row.tasks[TASK].passes[2].after
    assert (found.mean, found.questions) == (0.75, 2)
    assert found.spread == pytest.approx(0.5 / 2**0.5)
    assert row.tasks[TASK].after.mean == 0.375
