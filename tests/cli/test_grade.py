"""`stiefel grade`: completions of a file in, grades out."""
# ruff: noqa: E501  messages as they are printed

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stiefel.cli import main
from tests.cli.test_bad_input import refused
from tests.tasks.layouts import LAYOUTS

Grades = list[dict[str, Any]]


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., str]:
    """write(records or text): a file of them."""

    def make(lines: list[dict[str, Any]] | str) -> str:
        path = tmp_path / "completions.jsonl"
        path.write_text(lines if isinstance(lines, str) else "".join(json.dumps(line) + "\n" for line in lines))
        return str(path)

    return make


@pytest.fixture
def grade(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, Grades, str]]:
    """grade(task, path, *options): exit status, the objects of --json, stderr."""

    def run(task: str, path: str, *options: str) -> tuple[int, Grades, str]:
        with pytest.raises(SystemExit) as ended:
            main(["grade", "--task", task, "--input", path, "--json", *options])
        printed = capsys.readouterr()
        return int(ended.value.code or 0), [json.loads(line) for line in printed.out.splitlines()], printed.err

    return run


WRAPPED = ["18", "\\boxed{18}", "$18$", "He has 18.\n#### 18", 18, 18.0]


@pytest.mark.parametrize("task", ["math", "gsm8k", "svamp"])
def test_golds_are_taken_with_and_without_their_wrapping(task: str, grade: Any, write: Any) -> None:
    lines = [{"completion": f"So \\boxed{{{n}}}", "answer": gold} for gold in WRAPPED for n in (18, 19)]
    status, grades, _ = grade(task, write(lines))
    assert status == 0
    assert [line["score"] for line in grades] == [1, 0] * len(WRAPPED)
    assert all({"score", "extracted", "reason"} <= line.keys() for line in grades)
    assert [line["extracted"] for line in grades[:2]] == ["18", "19"]


def test_a_completion_that_was_cut_off_needs_a_mark(grade: Any, write: Any) -> None:
    texts = [("so it is 18", None), ("so it is 18", False), ("so it is 18", True), ("\\boxed{18}", True)]
    lines = [{"completion": text, "answer": "18"} | ({} if cut is None else {"truncated": cut}) for text, cut in texts]
    for task in ("math", "gsm8k"):
        status, grades, _ = grade(task, write(lines))
        assert status == 0
        assert [line["score"] for line in grades] == [1, 1, 0, 1]


def test_a_truncation_that_is_neither_true_nor_false_is_refused(write: Any, capsys: pytest.CaptureFixture[str]) -> None:
    path = write([{"completion": "18", "answer": "18", "truncated": "yes"}])
    assert "truncated 'yes'" in refused(capsys, "grade", "--task", "math", "--input", path)


UNREADABLE = [
    {"completion": "\\boxed{1}", "answer": "1"},
    {"completion": "\\boxed{1}", "answer": ""},
    {"completion": "\\boxed{1}", "answer": None},
    {"completion": "\\boxed{1}", "answer": ["1"]},
    {"completion": "\\boxed{2}", "answer": "1"},
]


def test_a_gold_that_cannot_be_read_is_null_with_a_reason_and_strict_says_so(grade: Any, write: Any) -> None:
    status, grades, errors = grade("math", write(UNREADABLE))
    assert (status, [line["score"] for line in grades]) == (0, [1, None, None, None, 0])
    assert all("unreadable gold" in line["reason"] for line in grades[1:4])
    assert "3 of 5 golds cannot be read" in errors
    assert grade("math", write(UNREADABLE), "--strict")[:2] == (1, grades)
    assert grade("math", write(UNREADABLE[:1]), "--strict")[0] == 0


@pytest.mark.parametrize("name", [name for name in LAYOUTS if name != "ifeval"])
def test_every_task_grades_its_own_columns_beside_the_completion(name: str, grade: Any, write: Any) -> None:
    made = LAYOUTS[name]
    by_row = [{**record, "completion": made.wrong} for record in (made.hub, made.local)]
    status, grades, _ = grade(name, write(by_row))
    assert (status, [line["score"] for line in grades]) == (0, [0, 0]), grades


def test_code_passes_by_its_tests(grade: Any, write: Any) -> None:
    for name, right in (("mbpp", LAYOUTS["code"].right), ("humaneval", "    return a + b\n")):
        made = LAYOUTS[name]
        status, grades, _ = grade(name, write([{**made.hub, "completion": right}, {**made.hub, "completion": "x"}]))
        assert (status, [line["score"] for line in grades]) == (0, [1, 0])


def test_a_completion_may_be_an_assistants_message(grade: Any, write: Any) -> None:
    lines = [{"completion": [{"role": "assistant", "content": "\\boxed{2}"}], "answer": "2"}]
    assert grade("math", write(lines))[1][0]["score"] == 1


def test_golds_may_come_from_a_file_of_the_tasks_columns(grade: Any, write: Any, tmp_path: Path) -> None:
    data = tmp_path / "gsm8k.jsonl"
    data.write_text("".join(json.dumps({"question": "q", "answer": f"#### {n}"}) + "\n" for n in range(3)))
    lines = [{"completion": f"\\boxed{{{n}}}"} for n in (0, 1, 1)]
    status, grades, _ = grade("gsm8k", write(lines), "--data", str(data))
    assert (status, [line["score"] for line in grades]) == (0, [1, 1, 0])


def test_many_lines_are_graded_in_order_in_pieces(grade: Any, write: Any) -> None:
    lines = [{"completion": f"\\boxed{{{n % 7}}}", "answer": str(n % 5)} for n in range(1300)]
    status, grades, errors = grade("math", write(lines))
    assert status == 0
    assert [line["score"] for line in grades] == [int(n % 7 == n % 5) for n in range(1300)]
    assert "512/1300 graded" in errors
    assert "1300/1300 graded" in errors


def test_a_graders_own_failure_is_counted_and_not_scored(
    grade: Any, write: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from stiefel.rewards import GRADERS, Grade

    def fails(completion: str, answer: str, **row: Any) -> Grade:
        if completion == "3":
            raise ZeroDivisionError("broken")
        return Grade(float(completion == answer), completion, "compared")

    monkeypatch.setitem(GRADERS, "exact", fails)
    lines = [{"completion": str(n), "answer": "2"} for n in (2, 3, 4)]
    status, grades, errors = grade("exact", write(lines))
    assert (status, [line["score"] for line in grades]) == (1, [1, None, 0])
    assert "the grader failed: ZeroDivisionError: broken" in grades[1]["reason"]
    assert "failed on 1 of 3 completions" in errors


def test_a_function_of_the_users_gets_the_other_columns(
    grade: Any, write: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "given_reward.py").write_text("def score(completion, answer, *, weight, **row):\n    return weight\n")
    lines = [{"completion": "x", "answer": "y", "weight": 0.25}]
    assert grade("given_reward:score", write(lines))[1][0]["score"] == 0.25


def test_without_json_there_is_a_table_and_the_first_reasons(capsys: pytest.CaptureFixture[str], write: Any) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["grade", "--task", "math", "--input", write(UNREADABLE)])
    printed = capsys.readouterr()
    assert not ended.value.code
    header, counts, *reasons = printed.out.splitlines()
    assert header.split() == ["task", "rows", "right", "wrong", "unreadable", "mean"]
    assert counts.split() == ["math", "5", "1", "1", "3", "0.5000"]
    assert reasons[0].startswith("row 2: unreadable gold")
    assert reasons[-1] == "row 5: another number (read: '2')"
    assert "5/5 graded" in printed.err


def test_what_a_grader_prints_is_not_among_the_results(
    grade: Any, write: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "loud_reward.py").write_text(
        "print('loaded')\ndef score(completion, answer, **row):\n    print('Downloaded words')\n    return 1.0\n"
    )
    status, grades, errors = grade("loud_reward:score", write(2 * [{"completion": "x", "answer": "y"}]))
    assert (status, [line["score"] for line in grades]) == (0, [1, 1])
    assert "loaded" in errors
    assert "Downloaded words" in errors


STARS = "*" * 70
FAILURES = {
    f"LookupError: \n{STARS}\n  Resource \x1b[93mwords\x1b[0m not found.\n  See: it\n{STARS}\n": "LookupError: Resource words not found.",
    "ZeroDivisionError: broken": "ZeroDivisionError: broken",
    "ValueError: first\nsecond": "ValueError: first",
    "AssertionError": "AssertionError",
    "my.Own: a\n\n- b": "my.Own: a",
}


@pytest.mark.parametrize("raised", FAILURES, ids=[text[:12] for text in FAILURES])
def test_a_failures_reason_is_its_first_line_that_says_something(raised: str) -> None:
    from stiefel.tasks.grading import meaning

    trace = f'Traceback (most recent call last):\n  File "/a.py", line 1, in f\n    1 / 0\n    ~~^~~\n{raised}\n'
    assert meaning(trace) == FAILURES[raised]
    assert meaning(f"{STARS}\nno sandbox\n{STARS}") == "no sandbox"
    assert meaning(STARS) == "?"


def test_ifeval_prints_results_alone(grade: Any, write: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("lm_eval")
    import lm_eval.tasks.ifeval as package

    class Checks:
        @staticmethod
        def process_results(document: Any, texts: list[str]) -> Any:
            print("[nltk_data] Downloading words")
            raise LookupError(f"\n{STARS}\n  Resource words not found.\n{STARS}\n")

    monkeypatch.setitem(__import__("sys").modules, "lm_eval.tasks.ifeval.utils", Checks)
    monkeypatch.setattr(package, "utils", Checks, raising=False)
    status, grades, errors = grade("ifeval", write([{**LAYOUTS["ifeval"].hub, "completion": "Hello."}]))
    assert status == 1
    assert grades[0]["reason"] == "the grader failed: LookupError: Resource words not found."
    assert "Downloading words" in errors


GOOD = json.dumps({"completion": "\\boxed{1}", "answer": "1"}) + "\n"
BAD = {
    "an unknown task": ("gsm9k", GOOD, "did you mean gsm8k"),
    "not JSON": ("math", 16 * GOOD + "{oops\n", "line 17 is not JSON"),
    "no row": ("math", GOOD + "[1]\n", "line 2 is no row"),
    "no completion": ("math", GOOD + '{"answer": "1"}\n', "line 2 has no completion"),
    "a completion that is none": ("math", GOOD + '{"completion": 5, "answer": "1"}\n', "line 2 has a completion that"),
    "two messages": (
        "math",
        json.dumps({"completion": 2 * [{"role": "assistant", "content": "x"}], "answer": "1"}),
        "line 1 has a completion that cannot be read",
    ),
    "no answer": ("math", GOOD + '{"completion": "1"}\n', "line 2 has no answer"),
    "no column of the task's": ("cola", '{"completion": "A", "sentence": "s"}\n', "line 1 has no column label"),
    "an empty file": ("math", "\n", "is empty"),
}


@pytest.mark.parametrize("mistake", BAD)
def test_a_mistake_is_one_message_before_anything_is_graded(
    mistake: str, write: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    task, text, message = BAD[mistake]
    assert message in refused(capsys, "grade", "--task", task, "--input", write(text), "--json")


def test_files_that_do_not_fit_are_refused(write: Any, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert "cannot be read" in refused(capsys, "grade", "--task", "math", "--input", str(tmp_path / "none"))
    lines = write([{"completion": "1"}])
    assert "no data at" in refused(capsys, "grade", "--task", "gsm8k", "--input", lines, "--data", "none.jsonl")
    two = tmp_path / "two.jsonl"
    two.write_text(2 * (json.dumps({"question": "q", "answer": "1"}) + "\n"))
    assert "1 completions, the data 2 rows" in refused(
        capsys, "grade", "--task", "gsm8k", "--input", lines, "--data", str(two)
    )


def test_the_golds_column_may_be_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As in a recipe, `a.b` is b in the table a; a line without it is named."""
    path = tmp_path / "lines.jsonl"
    path.write_text('{"completion": "4", "gold": {"value": 4}}\n{"completion": "5", "gold": {"value": 4}}\n')
    command = ["grade", "--task", "exact", "--input", str(path), "--json"]
    with pytest.raises(SystemExit):
        main([*command, "--answer-column", "gold.value"])
    assert [json.loads(line)["score"] for line in capsys.readouterr().out.splitlines()] == [1, 0]
    with pytest.raises(SystemExit) as status:
        main([*command, "--answer-column", "golds"])
    assert status.value.code == 2
    assert "line 1 has no golds" in capsys.readouterr().err
