"""Programs from completions, and what tests can ask of them through the sandbox."""
# ruff: noqa: E501  programs in one line each

from __future__ import annotations

import time

import pytest

from stiefel.errors import UserError
from stiefel.rewards import CODE, GraderFailure, grade_all
from stiefel.rewards.programs.code import LONGEST_PROGRAM, grade_code, read_job
from stiefel.rewards.programs.program import find_program
from stiefel.rewards.sandbox import Job, SandboxError, find_sandbox, run_job
from stiefel.rewards.sandbox.find import choose
from stiefel.rewards.sandbox.kinds import KINDS, NAMESPACES, NONE, Kind

PROMPT = (
    'import math\n\n\ndef half(x):\n    return x / 2\n\n\ndef area(r: float) -> float:\n    """The area of a disc."""\n'
)
HUMANEVAL = {
    "prompt": PROMPT,
    "entry_point": "area",
    "test": "def check(candidate):\n    assert abs(candidate(1) - 3.141592653589793) < 1e-9\n    assert half(candidate(0)) == 0\n",
}
BODY = "    return math.pi * r ** 2\n"
MBPP = {"test_list": ["assert double(2) == 4", "assert double('a') == 'aa'"], "test_setup_code": ""}
DOUBLE = "def double(x):\n    return 2 * x\n"


@pytest.fixture(scope="module", autouse=True)
def _sandboxed() -> None:
    try:
        find_sandbox()
    except UserError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize(
    ("completion", "score"),
    [
        (BODY, 1.0),
        (BODY + "\n\ndef other():\n    return area\n", 1.0),
        (BODY + "\n\nprint(area(", 1.0),  # the continuation ends where something else begins
        (PROMPT + BODY, 1.0),
        (f"Here you are:\n```python\n{PROMPT}{BODY}```\nIt uses pi.", 1.0),
        (f"```python\ndef area(r):\n{BODY}```", 1.0),  # the prompt's imports and helpers are there
        (f"```\ndef area(r):\n{BODY}```\nTry it:\n```python\nprint(area(2))\n```", 1.0),
        (f"1. So:\n   ```python\n   def area(r):\n   {BODY}   ```", 1.0),
        (f"<think>```python\ndef area(r): return 0\n```</think>```python\ndef area(r):\n{BODY}```", 1.0),
        (f"```python\nfrom __future__ import annotations\ndef area(r):\n{BODY}```", 1.0),
        (f"{BODY}```\nIt uses pi.", 1.0),  # the prompt opened the fence
        (f"def area(r):\n{BODY}```\nTry it:\n```python\nprint(area(2))\n```", 1.0),
        (
            "```python\ndef square(x):\n    return x * x\n```\nand\n```python\ndef area(r):\n    return math.pi * square(r)\n```",
            1.0,
        ),
        (f"Here it is:\n\ndef area(r):\n{BODY}\nIt uses pi and a square.\n", 1.0),
        (f"<answer>```python\ndef area(r):\n{BODY}```</answer>", 1.0),
        ("    return 3 * r\n", 0.0),
        ("", 0.0),
        ("I cannot.", 0.0),
        ("```python\ndef volume(r):\n    return 1\n```", 0.0),
        ("    return math.pi * r **", 0.0),
    ],
)
def test_humaneval(completion, score):
    grade = CODE(completion, **HUMANEVAL)
    assert grade.score == score, grade


@pytest.mark.parametrize(
    ("completion", "score"),
    [
        (DOUBLE, 1.0),
        (f"```python\n{DOUBLE}```", 1.0),
        (f"```py\nwrong\n```\nbetter:\n```py\n{DOUBLE}```", 1.0),
        (f"[BEGIN]\n{DOUBLE}[DONE]", 1.0),
        (f"{DOUBLE}\nif __name__ == '__main__':\n    raise SystemExit", 1.0),
        (f"```python\n{DOUBLE}", 1.0),
        (f"```python\n{DOUBLE}```\nFor example:\n```python\nprint(double(2))\n```", 1.0),
        (f"```python\n{DOUBLE}```\nIt prints\n```\n4\n```", 1.0),
        ("```python\ndouble = lambda x: 2 * x\n```\nand\n```python\ndouble(3)\n```", 1.0),
        (f"{DOUBLE}```\nThis works.", 1.0),
        (f"```python\n{DOUBLE.rstrip()}```", 1.0),
        (f"```python\n{DOUBLE}```\nIt prints\n```\ndouble = 4\n```", 1.0),
        (
            "```python\nfrom typing import Callable\ndouble: Callable = lambda x: 2 * x\n```\n```python\ndouble(3)\n```",
            1.0,
        ),
        (f"Sure! Here is the function:\n\n{DOUBLE}\nThis function doubles its argument.", 1.0),
        (f"<answer>\n{DOUBLE}</answer>", 1.0),
        ("def double(x):\n    return 4", 0.0),
        ("def triple(x):\n    return 2 * x", 0.0),
        ("double = None", 0.0),
        ("x" * (LONGEST_PROGRAM + 1), 0.0),
        ("\ud800", 0.0),
    ],
)
def test_mbpp(completion, score):
    grade = CODE(completion, **MBPP)
    assert grade.score == score, grade


@pytest.mark.parametrize(
    ("program", "tests"),
    [
        ("class Node:\n    def __init__(self, v): self.v, self.left = v, None\ndef depth(n): return 1 + depth(n.left) if n else 0",
         "root = Node(1)\nroot.left = Node(2)\nassert depth(root) == 2\nassert root.left.v == 2"),
        ("def sort(x): x.sort()", "a = [3, 1]\nassert sort(a) is None\nassert a == [1, 3]"),
        ("def fail(x): raise ValueError('no')", "try:\n    fail(1)\nexcept ValueError as e:\n    assert str(e) == 'no'\nelse:\n    assert False"),
        ("def f(x): return x + 1", "try:\n    f('a')\nexcept TypeError as e:\n    assert 'str' in str(e)\nelse:\n    assert False"),
        ("class Own(KeyError): pass\ndef fail(): raise Own('k')", "try:\n    fail()\nexcept KeyError:\n    pass"),
        ("def evens():\n    n = 0\n    while n < 6:\n        yield n\n        n += 2", "assert list(evens()) == [0, 2, 4]"),
        ("import collections\ndef count(x): return collections.Counter(x)", "assert count('aab') == {'a': 2, 'b': 1}"),
        ("def make(n): return lambda x: x + n", "add = make(3)\nassert add(4) == 7"),
        ("def big(n): return 10 ** n", "assert big(5000) == 10 ** 5000\nassert big(1) is not True"),
        ("def echo(x): return x", "for x in (None, True, 1, 1.5, 2j, 'é', b'\\0', (1,), [1], {1: (2,)}, {1}, frozenset({1}), range(3), int):\n"
         "    assert echo(x) == x and type(echo(x)) is type(x)"),
        ("def f(a, *, b=1): return a - b", "assert f(3) == 2\nassert f(3, b=3) == 0"),
        ("from dataclasses import dataclass\n@dataclass\nclass P:\n    x: int\ndef get(p): return p.x", "assert get(P(4)) == 4"),
        ("def sum(a, b): return a * b", "assert sum(3, 4) == 12"),
        ("def keys(d): return d.keys()", "assert keys({1: 2}) == {1}"),
        ("LIMIT = 5\ndef f(): return LIMIT", "assert f() == LIMIT == 5"),
        ("import math\ndef f(x): return math.sqrt(x)", "assert math.isclose(f(2), 2 ** 0.5)"),
        ("from decimal import Decimal\ndef f(x): return Decimal(x) / 4", "from decimal import Decimal\nassert f(Decimal(1)) == Decimal('0.25')"),
        ("from fractions import Fraction\ndef f(x): return [Fraction(x, 3)]", "from fractions import Fraction\nassert f(2) == [Fraction(2, 3)]"),
        ("import datetime as d\ndef f(x): return x + d.timedelta(days=1)", "from datetime import date, datetime, timedelta, timezone\nassert f(date(2020, 2, 28)) == date(2020, 2, 29)\n"
         "assert f(datetime(2020, 2, 28, 1, tzinfo=timezone.utc)) == datetime(2020, 2, 29, 1, tzinfo=timezone.utc)\nassert f(timedelta(1)) == timedelta(2)"),
        ("from collections import deque\ndef f(x): return deque(x, 2)", "from collections import deque\nassert f([1, 2, 3]) == deque([2, 3])"),
        ("class Stack:\n    def __init__(self): self.held = []\n    def push(self, x): self.held.append(x)\n    def __len__(self): return len(self.held)\n"
         "    def __getitem__(self, at): return self.held[at]\n    def __str__(self): return f'Stack{self.held}'",
         "s = Stack()\nassert not s\ns.push(7)\nassert s and len(s) == 1 and s[0] == 7 and 7 in s and 8 not in s and str(s) == f'{s}' == 'Stack[7]'"),
        ("def count():\n    yield 1\n    yield 2", "g = count()\nassert (next(g), next(g), next(g, None)) == (1, 2, None)"),
        ("import itertools\ndef count(): return itertools.count()", "g = count()\nassert [next(g) for _ in range(3)] == [0, 1, 2]"),
        ("class Grid:\n    def __init__(self): self.cells = {}\n    def __setitem__(self, at, v): self.cells[at] = v\n    def __delitem__(self, at): del self.cells[at]",
         "g = Grid()\ng[0, 1] = 5\nassert g.cells == {(0, 1): 5}\ndel g[0, 1]\nassert g.cells == {}"),
        ("def f(n): return [open(f'/tmp/{i}', 'w').write('x') for i in range(n)]", "assert f(3) == [1, 1, 1]"),
    ],
)  # fmt: skip
def test_what_tests_may_ask_of_a_program(program, tests):
    verdict = run_job(Job(program, tests), find_sandbox())
    assert verdict.passed, verdict


@pytest.mark.parametrize(
    "row",
    [
        {},
        {"test_list": []},
        {"test_list": ["assert f(1) == (2"]},
        {"tests": "assert f(lambda x: x) == 1"},
        {"entry_point": "f", "prompt": "def f():\n", "test": ""},
        "assert f(1) == 2",
        None,
        {"test_list": ["x" * 10**6]},
        {"tests": "# none yet"},
        {"tests": "assert True"},
        {"tests": "def test_f():\n    assert f(1) == 2"},
        {"tests": "import numpy as np\nassert np.allclose(f(1), 2)"},
        {"tests": "from solution import f\nassert f(1) == 2"},
        {"entry_point": "f", "prompt": "", "test": "def check(candidate):\n    pass"},
        {"entry_point": "f", "prompt": "", "test": "assert f(1) == 2"},
    ],
)
def test_tests_that_cannot_be_run_give_no_score(row):
    grade = grade_code("def f(x):\n    return 1", row)
    assert grade.score is None
    assert grade.reason.startswith("unreadable gold")


def test_a_test_that_catches_everything_does_not_hide_a_program_that_left():
    tests = "try:\n    f()\nexcept BaseException:\n    pass"
    assert run_job(Job("import os\ndef f(): os._exit(0)", tests), find_sandbox()).passed is False


def test_what_an_object_says_of_itself_is_the_programs_word_and_breaks_nothing():
    program = "class P:\n    def __str__(self): raise KeyError\n    __len__ = __bool__ = __str__\ndef f(): return P()"
    for tests in ("assert f() == 1, f()", "assert len(f()) == 0", "raise ValueError(f())", "assert f()"):
        assert run_job(Job(program, tests), find_sandbox()).passed is False


def test_an_object_that_says_it_holds_everything_holds_what_it_lists():
    program = "class All:\n    def __contains__(self, item): return True\n    def __iter__(self): return iter([1])\ndef f(): return All()"
    assert run_job(Job(program, "assert 1 in f()"), find_sandbox()).passed
    assert run_job(Job(program, "assert 7 in f()"), find_sandbox()).passed is False


def test_a_batch_keeps_its_order():
    programs = [f"def double(x): return {n} * x" for n in (1, 2, 3, 2)]
    assert [grade.score for grade in grade_all(CODE, programs, [""] * 4, [MBPP] * 4)] == [0.0, 1.0, 0.0, 1.0]


def test_find_program_prefers_the_block_that_defines_the_function():
    text = "```python\ndef f(): pass\n```\n```python\nf()\n```"
    assert find_program(text, ["f"]) == "def f(): pass\n"
    assert find_program(text) == "def f(): pass\n\nf()\n"  # with what it uses


@pytest.mark.parametrize("text", ["`" * 10**6, "~" * 10**6, "```python\n" + "\n" * 10**6 + "```", " " * 10**6, "[BEGIN]" * 10**5,
                                  "```\n" * 10**5, "def " * 10**5, "A b " * 10**5, "Aa" * 10**5])  # fmt: skip
@pytest.mark.parametrize("row", [HUMANEVAL, MBPP], ids=["humaneval", "mbpp"])
def test_a_long_completion_is_read_in_a_time_that_grows_with_its_length(text, row):
    def seconds(text):
        began = time.process_time()
        read_job(text, row)
        return time.process_time() - began

    assert seconds(text) < 2.0  # a second for a million characters, where a quadratic reading takes an hour


def test_the_trusted_helpers_are_the_prompts_and_not_the_programs():
    job = read_job("def half(x):\n    return 0\n\ndef area(r):\n    return 3", HUMANEVAL)
    assert "return x / 2" in job.trusted
    assert job.entry == "area"


BROKEN = Kind("broken", lambda scratch_bytes: ["false"], lambda: "")
ABSENT = Kind("absent", lambda scratch_bytes: ["false"], lambda: "it is not installed")


def test_nothing_is_run_in_the_open_unless_asked_for_by_name():
    with pytest.raises(UserError) as raised:
        choose("auto", (ABSENT, BROKEN, NONE))
    assert "absent: it is not installed; broken: exit status 1" in raised.value.why
    assert "STIEFEL_SANDBOX=none" in raised.value.instead
    assert choose("none", (ABSENT, BROKEN, NONE)) is NONE
    assert choose("auto", (ABSENT, NAMESPACES, NONE)) is NAMESPACES


def test_an_unknown_kind_is_refused_by_name():
    with pytest.raises(UserError, match="unknown sandbox 'docker'"):
        choose("docker", KINDS)


def test_a_sandbox_that_fails_is_no_wrong_answer():
    with pytest.raises(SandboxError, match="exit status 1"):
        run_job(Job(DOUBLE, MBPP["test_list"][0]), BROKEN)


def test_a_failing_sandbox_reaches_the_caller_as_the_graders_failure(monkeypatch):
    monkeypatch.setattr("stiefel.rewards.programs.code.find_sandbox", lambda: BROKEN)
    with pytest.raises(GraderFailure, match="exit status 1"):
        grade_all(CODE, [DOUBLE + "# not graded before"], [""], [MBPP])
