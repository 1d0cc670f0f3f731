"""A user's own rows: what is read, in which order, and what is refused by its line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stiefel.errors import UserError
from stiefel.recipe.recipe import make_recipe
from stiefel.recipe.sections import TaskSettings
from stiefel.tasks import find_task, training_task
from stiefel.tasks.own import column, make_row

ROWS = [{"prompt": f"{n}+1?", "answer": str(n + 1), "level": n} for n in range(10)]


@pytest.fixture
def settings(tmp_path: Path) -> Callable[..., TaskSettings]:
    """settings(rows or text, **keys): [task] with those rows in a file, graded exactly."""

    def make(rows: list[Any] | str = ROWS, **keys: Any) -> TaskSettings:
        path = tmp_path / "rows.jsonl"
        path.write_text(rows if isinstance(rows, str) else "".join(json.dumps(row) + "\n" for row in rows))
        return make_recipe({"task": {"data": str(path), "reward": "exact", **keys}}).task

    return make


def test_every_pass_holds_each_row_once_in_an_order_of_the_seeds(settings: Any) -> None:
    task = training_task(settings())
    assert task.size == 10
    rows = [row.prompt for row in task.rows("train", 30, 0)]
    for start in (0, 10, 20):
        assert sorted(rows[start : start + 10]) == sorted(row["prompt"] for row in ROWS)
    assert rows[:10] != rows[10:20]
    assert rows == [row.prompt for row in task.rows("train", 30, 0)]
    assert rows[:12] == [row.prompt for row in task.rows("train", 12, 0)]  # asking for fewer gives the same ones
    assert rows != [row.prompt for row in task.rows("train", 30, 1)]


def test_train_rows_takes_the_first_ones(settings: Any) -> None:
    task = training_task(settings(train_rows=3))
    assert {row.prompt for row in task.rows("train", 30, 0)} == {"0+1?", "1+1?", "2+1?"}
    named = training_task(make_recipe({"task": {"train_rows": 3}}).task)
    endless = find_task("nano-arithmetic").rows("train", 3, 5)
    assert sorted(row.text for row in named.rows("train", 6, 5)) == sorted(2 * [row.text for row in endless])


def test_answers_are_targets_and_other_columns_go_to_the_grader(settings: Any) -> None:
    row = training_task(settings([{"prompt": "2+2?", "answer": 4, "level": {"a": [1]}}])).rows("train", 1, 0)[0]
    assert (row.answer, row.target) == ("4", "4")
    assert row.columns == {"prompt": "2+2?", "level": {"a": [1]}}


def test_an_index_of_a_choice_is_not_taken_for_a_choices_text(settings: Any) -> None:
    rows = [{"prompt": "How many?", "choices": ["2", "3", "0", "1"], "answer": 2}]
    task = training_task(settings(rows, reward="choice"))
    row = task.rows("train", 1, 0)[0]
    assert row.answer == "C"
    assert task.grader("Answer: C", row.answer, **row.columns).score == 1.0


TESTED = {"prompt": "Write f.", "tests": "assert f(1) == 2"}
PAIRED = {"prompt": "Double.", "inputs": ["1"], "outputs": ["2"]}


@pytest.mark.parametrize("record", [TESTED, PAIRED, {**TESTED, "answer": None}, {**TESTED, "answer": ["a solution"]}])
def test_rows_of_programs_need_tests_and_no_answer(record: dict[str, Any], settings: Any) -> None:
    row = training_task(settings([record], reward="code")).rows("train", 1, 0)[0]
    assert row.answer == ""
    assert {"tests", "inputs"} & row.columns.keys()


def test_rows_of_programs_without_tests_are_refused(settings: Any) -> None:
    with pytest.raises(UserError, match=r"row 2 of .* has no tests") as error:
        training_task(settings([TESTED, {"prompt": "Write f."}], reward="code"))
    assert "inputs and outputs" in error.value.instead
    with pytest.raises(UserError, match="has no column 'solution'"):
        training_task(settings([TESTED], reward="code", answer_column="solution"))


def test_columns_may_have_other_names_and_lie_in_tables() -> None:
    keys = {"data": "x.jsonl", "prompt_column": "question", "answer_column": "reward_model.ground_truth"}
    named = make_recipe({"task": keys}).task
    record = {"question": "1+1?", "reward_model": {"ground_truth": "2"}}
    assert make_row(record, "row 1", named).answer == "2"
    dotted = make_recipe({"task": {"data": "x.jsonl", "answer_column": "a.b"}}).task
    assert column({"a.b": 1, "a": {"b": 2}}, "answer_column", "row 1", dotted) == 1


@pytest.mark.parametrize(
    ("record", "instead"),
    [
        ({"prompt": "1+1?"}, "add a column 'answer' with the answer"),
        ({"prompt": "1+1?", "result": "2"}, "set task.answer_column: one of: result"),
        ({"answer": "2"}, "add a column 'prompt' with the prompt"),
        ({"answer": "2", "question": "1+1?"}, "set task.prompt_column: one of: question"),
        ({}, "add a column 'answer' with the answer"),
    ],
)
def test_a_missing_column_is_never_said_to_be_the_other_one(record: dict[str, str], instead: str) -> None:
    with pytest.raises(UserError) as error:
        make_row(record, "row 1", make_recipe({"task": {"data": "x.jsonl"}}).task)
    assert error.value.instead == instead


def test_a_text_can_be_shown_as_a_chat(settings: Any) -> None:
    row = training_task(settings(chat=True)).rows("train", 1, 0)[0]
    assert row.prompt == [{"role": "user", "content": row.columns["prompt"]}]


def test_a_chat_is_kept_as_it_is(settings: Any) -> None:
    chat = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "1+1?"}]
    assert training_task(settings([{"prompt": chat, "answer": "2"}])).rows("train", 1, 0)[0].prompt == chat


def test_line_separators_inside_a_text_and_blank_lines_between_rows_are_no_rows(settings: Any) -> None:
    line = json.dumps({"prompt": "a\u2028b\x85c", "answer": "d"}, ensure_ascii=False)
    task = training_task(settings(f"\ufeff{line}\n\n{line}\n\n"))
    assert task.size == 2
    assert task.rows("train", 1, 0)[0].prompt == "a\u2028b\x85c"


GOOD = json.dumps(ROWS[0]) + "\n"
BROKEN = {
    "an empty file": ("", "is empty"),
    "a broken line": (GOOD + "{oops\n", "line 2 is not JSON"),
    "a line that is no row": (GOOD + "[1, 2]\n", "line 2 is no row"),
    "a missing prompt": (GOOD + '{"answer": "1"}\n', "row 2 of .* has no column 'prompt'"),
    "a missing answer": (GOOD + '{"prompt": "1"}\n', "row 2 of .* has no column 'answer'"),
    "a misspelled column": ('{"prompt": "1", "anwser": "2"}\n', "did you mean anwser"),
    "an empty row": (GOOD + "{}\n", "the columns are none"),
    "an empty prompt": (GOOD + '{"prompt": " ", "answer": "1"}\n', "row 2 of .* has an empty prompt"),
    "an empty chat": ('{"prompt": [], "answer": "1"}\n', "has an empty prompt"),
    "a chat that says nothing": ('{"prompt": [{"role": "user", "content": ""}], "answer": "1"}\n', "has no prompt"),
    "a prompt that is a number": ('{"prompt": 3, "answer": "1"}\n', "has no prompt that can be read"),
    "a chat of something else": ('{"prompt": [{"text": "hi"}], "answer": "1"}\n', "has no prompt that can be read"),
    "a null answer": ('{"prompt": "1", "answer": null}\n', "has no answer"),
    "an answer that is a list": ('{"prompt": "1", "answer": ["2"]}\n', "has no answer"),
    "both kinds of prompt": (GOOD + '{"prompt": [{"role": "user", "content": "1"}], "answer": "1"}\n', "row 2 is chat"),
}


@pytest.mark.parametrize("mistake", BROKEN)
def test_a_broken_row_is_named_before_anything_is_loaded(mistake: str, settings: Any) -> None:
    text, message = BROKEN[mistake]
    with pytest.raises(UserError, match=message):
        training_task(settings(text))


def test_a_file_that_is_no_text_is_refused(settings: Any, tmp_path: Path) -> None:
    given = settings()
    (tmp_path / "rows.jsonl").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="cannot be read"):
        training_task(given)


@pytest.mark.parametrize("data", ["nowhere.jsonl", "./rows", "/nowhere/rows", "a/b/c"])
def test_a_missing_file_is_not_looked_for_on_the_hub(data: str) -> None:
    with pytest.raises(UserError, match="no data at"):
        training_task(make_recipe({"task": {"data": data, "reward": "exact"}}).task)


def test_an_unreachable_hub_is_named() -> None:
    with pytest.raises(UserError, match="the hub did not give it"):
        training_task(make_recipe({"task": {"data": "nobody/nothing", "reward": "exact"}}).task)


def test_data_without_a_reward_are_refused(settings: Any) -> None:
    with pytest.raises(UserError, match=r"without task\.reward"):
        training_task(settings(reward=""))
    assert training_task(settings(reward=""), graded=False).size == 10  # supervised training grades nothing


def test_own_data_have_no_test_split(settings: Any) -> None:
    with pytest.raises(AssertionError, match="evaluation tasks are named"):
        training_task(settings()).rows("test", 1, 0)
