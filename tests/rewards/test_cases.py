"""Tests that are pairs of an input and an output, as code benchmarks have them."""
# ruff: noqa: E501  a case a line

from __future__ import annotations

import json
from typing import Any

import pytest

from stiefel.errors import UserError
from stiefel.rewards.programs.code import FIRST, grade_code
from stiefel.rewards.sandbox import find_sandbox, run
from stiefel.rewards.sandbox.inside.compare import same_output

DOUBLE, TRIPLE = "n = int(input())\nprint(2 * n)", "n = int(input())\nprint(3 * n)"
LISTED = [{"input": "2\n", "output": "4\n"}, {"input": "5", "output": "10"}]
TABLE = {"inputs": ["2\n", "5"], "outputs": ["4\n", "10"]}


@pytest.fixture(autouse=True)
def _sandboxed() -> None:
    try:
        find_sandbox()
    except UserError as error:
        pytest.skip(str(error))


LAYOUTS: dict[str, dict[str, Any]] = {
    "a list of pairs": {"tests": LISTED},
    "a table of lists": {"tests": TABLE},
    "a list as JSON": {"tests": json.dumps(LISTED)},
    "a table as JSON": {"tests": json.dumps(TABLE)},
    "a list as Python writes it": {"tests": repr(LISTED)},
    "in test_list": {"test_list": LISTED},
    "a table in test_list": {"test_list": TABLE},
    "pairs as JSON, each": {"test_list": [json.dumps(pair) for pair in LISTED]},
    "columns": {"inputs": TABLE["inputs"], "outputs": TABLE["outputs"]},
    "columns as JSON": {name: json.dumps(value) for name, value in TABLE.items()},
    "one pair in columns": {"inputs": "2", "outputs": "4"},
    "in input_output": {"input_output": json.dumps(TABLE)},
    "input and output of lists": {"tests": {"input": TABLE["inputs"], "output": TABLE["outputs"]}},
    "lines": {"tests": {"inputs": [["2"], ["5"]], "outputs": [["4"], ["10"]]}},
    "numbers": {"tests": [{"input": 2, "output": 4}, {"input": 5, "output": 10}]},
    "columns that are empty elsewhere": {"tests": None, "test_list": [], "inputs": ["5"], "outputs": ["10"]},
    "with their type": {"tests": [{**pair, "testtype": "stdin"} for pair in LISTED], "metadata": "{}"},
    "other names": {"tests": [{"stdin": "2", "expected_output": "4"}]},
    "Windows' line ends": {"tests": [{"input": "2\r\n", "output": "4\r\n"}]},
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_program_is_run_with_every_layout(layout: str) -> None:
    row = LAYOUTS[layout]
    assert grade_code(f"```python\n{DOUBLE}\n```", row).score == 1.0
    assert grade_code(f"```python\n{TRIPLE}\n```", row).score == 0.0


PROGRAMS = {
    "under __main__": f"def main():\n    {DOUBLE.replace(chr(10), chr(10) + '    ')}\nif __name__ == '__main__':\n    main()",
    "sys.stdin": "import sys\nprint(2 * int(sys.stdin.readline()))",
    "the whole of it": "import sys\ndata = sys.stdin.read().split()\nsys.stdout.write(str(2 * int(data[0])))",
    "the buffer": "import sys\nn = int(sys.stdin.buffer.read())\nsys.stdout.buffer.write(b'%d\\n' % (2 * n))",
    "the descriptor": "print(2 * int(open(0).read()))",
    "os.read and os.write": "import os\nos.write(1, b'%d' % (2 * int(os.read(0, 99))))",
    "an exit": f"import sys\n{DOUBLE}\nsys.exit()",
    "an exit of zero": f"{DOUBLE}\nexit(0)",
    "the hard exit": f"import os\n{DOUBLE.replace('n)', 'n, flush=True)')}\nos._exit(0)",
    "an exit handler": "import atexit\nn = int(input())\natexit.register(lambda: print(2 * n))",
    "input redefined": "import sys\ninput = sys.stdin.readline\nprint(2 * int(input()))",
    "a class": "from dataclasses import dataclass\n@dataclass\nclass P:\n    x: int\nprint(2 * P(int(input())).x)",
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_ways_of_reading_and_printing(name: str) -> None:
    grade = grade_code(PROGRAMS[name], {"tests": LISTED})
    assert grade.score == 1.0, grade


NOTHING: dict[str, dict[str, Any]] = {
    "no column": {},
    "an empty list": {"tests": []},
    "an empty list as text": {"tests": "[]"},
    "an empty table": {"tests": {}},
    "an empty table as text": {"tests": "{}"},
    "no cases": {"tests": {"inputs": [], "outputs": []}},
    "no columns' cases": {"inputs": [], "outputs": []},
    "no output": {"tests": [{"input": "1"}]},
    "an output that is null": {"tests": [{"input": "1", "output": None}]},
    "outputs that are empty": {"tests": [{"input": "1", "output": ""}, {"input": "2", "output": " \n"}]},
    "more inputs than outputs": {"tests": {"inputs": ["1", "2"], "outputs": ["1"]}},
    "arguments without a function": {"tests": {"inputs": [[[1, 2], 3]], "outputs": [[4]]}},
    "functional without a function": {"tests": [{"input": "1", "output": "1", "testtype": "functional"}]},
    "blank asserts": {"tests": ["", "  "]},
    "null": {"tests": None},
    "a list of null": {"tests": [None]},
    "pass": {"tests": "pass"},
    "an assertion of its own": {"tests": "assert True"},
    "arithmetic": {"test_list": ["assert 1 + 1 == 2"]},
    "its own function": {"tests": "def g(x):\n    return x\nassert g(1) == 1"},
    "a function that is not called": {"tests": "def test_f():\n    assert f(1) == 2"},
    "only that it is there": {"tests": "assert f"},
    "only that it can be called": {"tests": "assert callable(f)"},
    "a call that is not looked at": {"tests": "print(f(1))"},
    "an assertion of a tuple": {"tests": "assert (f(1) == 2, 'f')"},
    "a check of nothing": {"entry_point": "f", "test": "def check(candidate):\n    pass"},
    "a check of its own": {"entry_point": "f", "test": "def check(candidate):\n    assert True"},
    "no check's text": {"entry_point": "f", "test": " "},
}


@pytest.mark.parametrize("name", NOTHING)
def test_tests_that_ask_nothing_give_no_score_before_a_program_is_run(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stiefel.rewards.programs.code.run_job", lambda *_: pytest.fail("a program was run"))
    for program in ("def f(x):\n    return 2", "raise ValueError", "", "print(1)"):
        grade = grade_code(program, NOTHING[name])
        assert grade.score is None
        assert grade.reason.startswith("unreadable gold: ")


ASKS = {
    "through a loop": "for x, y in [(1, 2)]:\n    assert f(x) == y",
    "through a function that is called": "def go():\n    assert f(1) == 2\ngo()",
    "through two functions": "def one():\n    assert f(1) == 2\ndef two():\n    one()\ntwo()",
    "through a class": "class T:\n    def run(self):\n        assert f(1) == 2\nT().run()",
    "by raising": "if f(1) != 2:\n    raise ValueError",
    "by leaving": "import sys\nif f(1) != 2:\n    sys.exit(1)",
    "by a built-in's name": "assert sum(1) == 2",
    "as a test file does": "def test():\n    assert f(1) == 2\nif __name__ == 'tests':\n    test()",
}


@pytest.mark.parametrize("name", ASKS)
def test_tests_that_ask_are_run(name: str) -> None:
    for value, score in ((2, 1.0), (3, 0.0)):
        assert grade_code(f"def f(x):\n    return {value}\nsum = f", {"tests": ASKS[name]}).score == score


METHOD = "class Solution:\n    def add(self, a: List[int], b: int):\n        return tuple(a) + (b,)"
FUNCTION = "def add(a, b):\n    return a + [b]"
CALLED: dict[str, dict[str, Any]] = {
    "a table": {"tests": {"fn_name": "add", "inputs": [[[1], 2]], "outputs": [[1, 2]]}},
    "a value in a list": {"input_output": json.dumps({"fn_name": "add", "inputs": [[[1], 2]], "outputs": [[[1, 2]]]})},
    "lines of JSON": {
        "tests": json.dumps([{"input": "[1]\n2", "output": "[1, 2]", "testtype": "functional"}]),
        "metadata": json.dumps({"func_name": "add"}),
    },
    "columns": {"inputs": [[[1], 2]], "outputs": [[1, 2]], "fn_name": "add"},
}


@pytest.mark.parametrize("layout", CALLED)
@pytest.mark.parametrize("program", [METHOD, FUNCTION])
def test_a_named_function_is_called(layout: str, program: str) -> None:
    assert grade_code(f"```python\n{program}\n```", CALLED[layout]).score == 1.0
    assert (
        grade_code(f"```python\n{program.replace('b,', '3,').replace('[b]', '[3]')}\n```", CALLED[layout]).score == 0.0
    )


@pytest.mark.parametrize("got", ["True", "1.5", "'1'", "[1]", "None", "1.1"])
def test_a_value_of_another_kind_is_another(got: str) -> None:
    assert grade_code(f"def f(x):\n    return {got}", {"inputs": [[0]], "outputs": [1], "fn_name": "f"}).score == 0.0


SAME = [
    ("4\n", "4"), ("4", "4\n"), ("4  \n5\t\n\n\n", "4\n5"), ("a b\r\nc", "a b\nc\n"), ("0.5", "0.50"), ("0.3333333333", "0.333333"),
    ("1 0.30000000000000004", "1 0.3"), ("3", "3.0"), ("1e-7", "0.0"), ("x: 2.50", "x: 2.5"), ("  *\n ***", "  *\n ***"),
]  # fmt: skip
DIFFERENT = [
    ("4", "5"), ("", "4"), ("4 5", "4\n5"), ("4\n5", "4"), ("4\n\n5", "4\n5"), ("4.0", "4"), ("04", "4"), ("+4", "4"), ("Yes", "YES"), ("*\n***", "  *\n ***"),
    ("0.33", "0.333333"), ("nan", "0.0"), ("nan", "1.5"), ("inf", "1e300"), ("12345678901234567891", "12345678901234567890"), ("4 4", "4"), ("1,5", "1.5"), ("answer 4", "4"),
]  # fmt: skip


def test_outputs_are_compared_as_judges_do() -> None:
    assert [pair for pair in SAME if not same_output(*pair)] == []
    assert [pair for pair in DIFFERENT if same_output(*pair)] == []


def test_cases_are_run_some_at_a_time_until_one_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    def counted(job: run.Job, *rest: Any) -> run.Verdict:
        seen.append(len(job.cases))
        return run.run_job(job, *rest)

    monkeypatch.setattr("stiefel.rewards.programs.code.run_job", counted)
    rows = {"inputs": [str(n) for n in range(45)], "outputs": [str(2 * n) for n in range(45)]}
    assert grade_code(DOUBLE, rows).score == 1.0
    assert (seen[0], sum(seen)) == (FIRST, 45)
    seen.clear()
    assert grade_code(TRIPLE, rows).score == 0.0
    assert seen == [FIRST]


def test_a_large_input_is_read_whole() -> None:
    program = "import sys\nprint(len(sys.stdin.read()))"
    assert grade_code(program, {"inputs": ["x" * 2_000_000], "outputs": ["2000000"]}).score == 1.0
    assert grade_code("print(2000000)", {"inputs": ["x" * 2_000_000], "outputs": ["2000000"]}).score == 1.0
