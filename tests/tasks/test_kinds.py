"""What is particular to a task: golds, years, duplicates, order."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from stiefel.errors import UserError
from stiefel.tasks import find_task
from tests.tasks.layouts import AIME, CHOICES, DAPO


def write(tmp_path: Path, records: list[Any]) -> str:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return str(path)


def dapo(question: str, answer: str) -> dict[str, Any]:
    content = DAPO["content"].replace("What is 6·7?", question)
    return {"prompt": [{"role": "user", "content": content}], "reward_model": {"ground_truth": answer}}


def test_dapos_duplicates_are_left_out_and_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [dapo("1+1?", "2"), dapo("1+2?", "3"), dapo("1+1?", "2"), dapo("1+1?", "5"), dapo("1+2?", "3")]
    task = find_task("dapo-math-17k", write(tmp_path, rows))
    assert {(row.text.split("\n\n")[1], row.answer) for row in task.rows("train", 10, 0)} == {
        ("1+1?", "2"),
        ("1+2?", "3"),
    }
    origin = task.origin("train")
    assert (origin["rows_before"], origin["rows"], origin["duplicates_removed"]) == (5, 2, 3)
    assert origin["questions_with_two_answers"] == 1
    assert "2 different questions of 5 rows, 3 duplicates left out" in capsys.readouterr().err


def test_duplicates_of_a_table_on_disk_are_the_same(tmp_path: Path) -> None:
    """A data set of the hub is read in pieces; a file of JSON lines, record by record."""
    from datasets import Dataset

    rows = [dapo(f"{n % 7}+1?", str(n % 7 + 1)) for n in range(40)]
    Dataset.from_list(rows).to_parquet(tmp_path / "rows.parquet")
    on_disk = find_task("dapo-math-17k", str(tmp_path / "rows.parquet"))
    in_memory = find_task("dapo-math-17k", write(tmp_path, rows))
    assert on_disk.rows("train", 20, 3) == in_memory.rows("train", 20, 3)
    assert on_disk.origin("train")["rows"] == 7


def test_an_aime_file_of_three_years_gives_one(tmp_path: Path) -> None:
    rows = [
        {**AIME, "answer": str(year), "url": f"https://x/20{year}_AIME_I_Problems/Problem_1"} for year in (22, 23, 24)
    ]
    path = write(tmp_path, rows)
    for year in (22, 23, 24):
        task = find_task(f"aime{year}", path)
        assert [row.answer for row in task.rows("test", 99, 0)] == [str(year)]
        assert (task.origin()["rows"], task.origin()["of_other_tasks"]) == (1, 2)
    with pytest.raises(UserError, match="has no row of aime25"):
        find_task("aime25", path).rows("test", 1, 0)


def test_an_aime_gold_loses_its_zeros_and_must_be_an_integer(tmp_path: Path) -> None:
    assert find_task("aime24", write(tmp_path, [AIME])).rows("test", 1, 0)[0].answer == "25"
    for gold in ("x", "1000", "-1", "3.5", True):
        with pytest.raises(UserError, match=r"row 1 of .* is no question of aime24"):
            find_task("aime24", write(tmp_path, [{**AIME, "answer": gold}])).rows("test", 1, 0)


def test_gsm8k_teaches_the_solution_without_the_calculators_marks(tmp_path: Path) -> None:
    record = {"question": "q", "answer": "So 3*6 = <<3*6=18>>18.\n#### 1,800"}
    row = find_task("gsm8k", write(tmp_path, [record])).rows("train", 1, 0)[0]
    assert (row.answer, row.target) == ("1,800", "So 3*6 = 18.\n\\boxed{1,800}\n#### 1,800")


def test_an_index_is_not_taken_for_a_choices_text(tmp_path: Path) -> None:
    """One of the choices reads "2", and the index 2 is another question's."""
    record = {"question": "q", "choices": ["2", "3", "0", "1"], "answer": 2}
    assert find_task("mmlu", write(tmp_path, [record])).rows("test", 1, 0)[0].answer == "C"


@pytest.mark.parametrize("choices", [["L", "R", "1/C", "C"], ["C", "D", "A", "B"], ["3", "A", "2", "1"]])
@pytest.mark.parametrize("index", range(4))
def test_a_letter_is_not_taken_for_a_choice_that_reads_so(choices: list[str], index: int, tmp_path: Path) -> None:
    task = find_task("mmlu", write(tmp_path, [{"question": "q", "choices": choices, "answer": index}]))
    row = task.rows("test", 1, 0)[0]
    scores = [task.grader(f"Answer: {letter}", row.answer, **row.columns).score for letter in "ABCD"]
    assert scores == [float(place == index) for place in range(4)]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"answer": 4}, "none of 4 choices"),
        ({"answer": "E"}, "none of 4 choices"),
        ({"choices": "Na, K"}, "no list of two to 26"),
        ({"choices": ["Na"]}, "no list of two to 26"),
    ],
)
def test_a_choice_that_is_none_is_refused(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    record = {"question": "q", "choices": CHOICES, "answer": 1, **change}
    with pytest.raises(UserError, match=message):
        find_task("mmlu", write(tmp_path, [record])).rows("test", 1, 0)


def test_glues_hidden_labels_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="take validation"):
        find_task("cola", write(tmp_path, [{"sentence": "s", "label": -1}])).rows("test", 1, 0)
    with pytest.raises(UserError, match="neither 0 nor 1"):
        find_task("mrpc", write(tmp_path, [{"sentence1": "s", "sentence2": "t", "label": 2}])).rows("test", 1, 0)


def test_test_rows_keep_the_files_order_and_a_grouped_set_a_fixed_one(tmp_path: Path) -> None:
    problems = [{"problem": str(n), "answer": str(n)} for n in range(50)]
    task = find_task("math500", write(tmp_path, problems))
    assert [row.answer for row in task.rows("test", 20, 0)] == [str(n) for n in range(20)]
    assert task.rows("test", 999, 5) == task.rows("test", 50, 0)
    subjects = [{"question": str(n), "choices": CHOICES, "answer": n // 25} for n in range(100)]
    path = write(tmp_path, subjects)
    first = find_task("mmlu", path).rows("test", 20, 0)
    assert {row.answer for row in first} == set("ABCD"), "the first twenty of the file are all of one subject"
    assert find_task("mmlu", path).rows("test", 40, 1)[:20] == first
    assert len({row.prompt for row in find_task("mmlu", path).rows("test", 100, 0)}) == 100


def test_training_rows_go_pass_after_pass_in_an_order_of_the_seeds(tmp_path: Path) -> None:
    task = find_task("gsm8k", write(tmp_path, [{"question": str(n), "answer": str(n)} for n in range(10)]))
    answers = [row.answer for row in task.rows("train", 20, 0)]
    assert sorted(answers[:10]) == sorted(answers[10:]) == sorted(map(str, range(10)))
    assert answers[:10] != answers[10:]
    assert answers != [row.answer for row in task.rows("train", 20, 1)]


@pytest.mark.parametrize("name", ["math500", "aime24", "humaneval"])
def test_what_is_measured_is_not_trained_on(name: str) -> None:
    with pytest.raises(UserError, match=f"{name} has no train split"):
        find_task(name).rows("train", 1, 0)


@pytest.mark.parametrize("name", ["dapo-math-17k", "deepmath-103k"])
def test_what_is_trained_on_is_not_measured(name: str) -> None:
    with pytest.raises(UserError, match=f"{name} has no test split"):
        find_task(name).rows("test", 1, 0)
