"""A user's own reward function: how it is found and called, and that a broken one is never a score."""

from __future__ import annotations

import itertools
import math
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stiefel.errors import UserError
from stiefel.rewards import Grade, exact, reward_function

NUMBERS = itertools.count()


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """module(source): the name of a module with that source in the working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))

    def write(source: str) -> str:
        name = f"own_reward_{next(NUMBERS)}"
        (tmp_path / f"{name}.py").write_text(source)
        return name

    return write


def test_a_function_is_found_in_the_working_directory_and_given_the_row(module: Any) -> None:
    name = module("def score(completion, answer, *, level, **row):\n    return level if answer in completion else 0\n")
    grade = reward_function(f"{name}:score")
    assert grade("so 4", "4", level=0.5, prompt="2+2?") == Grade(0.5, None, f"{name}:score")
    assert grade("so 5", "4", level=0.5, prompt="2+2?").score == 0.0


def test_a_grade_is_taken_as_it_is(module: Any) -> None:
    source = "from stiefel.rewards import Grade\ndef score(c, a, **row):\n    return Grade(1.0, c, 'mine')\n"
    assert reward_function(f"{module(source)}:score")("x", "y") == Grade(1.0, "x", "mine")


@pytest.mark.parametrize("value", [True, 1, 0.25, np.float32(0.25), np.int64(1), Fraction(1, 4)])
def test_every_real_number_is_a_reward(value: Any, module: Any) -> None:
    name = module("VALUE = None\ndef score(c, a, **row):\n    return VALUE\n")
    grade = reward_function(f"{name}:score")
    sys.modules[name].VALUE = value
    assert grade("x", "y").score == float(value)


RETURNED = [
    "None",
    "'1'",
    "[1.0]",
    "float('nan')",
    "float('inf')",
    "-float('inf')",
    "1j",
    "Grade(float('nan'), None, '')",
]


@pytest.mark.parametrize("value", RETURNED)
def test_what_is_no_finite_number_is_an_error_and_not_zero(value: str, module: Any) -> None:
    name = module(f"from stiefel.rewards import Grade\ndef score(c, a, **row):\n    return {value}\n")
    with pytest.raises(UserError, match=rf"the reward {name}:score returned .* no finite number"):
        reward_function(f"{name}:score")("the completion", "the answer")


@pytest.mark.parametrize(
    "raised", ["1 / 0", "raise KeyError('x')", "raise RuntimeError('boom')", "assert False", "raise SystemExit(0)"]
)
def test_a_function_that_raises_is_an_error_and_not_zero(raised: str, module: Any) -> None:
    name = module(f"def score(c, a, **row):\n    {raised}\n")
    with pytest.raises(UserError, match=f"the reward {name}:score raised") as error:
        reward_function(f"{name}:score")("the completion", "the answer")
    assert "the completion" in error.value.why
    assert error.value.__cause__ is not None


TAKEN = {
    "def score(completion, answer):": None,
    "def score(c, a, /):": None,
    "def score(completion, answer, level):": 3,
    "def score(completion, answer, *, level, other=1):": 3,
    "def score(completion, answer, **row):": {"level": 3, "prompt": "z"},
    "def score(*both, **row):": {"level": 3, "prompt": "z"},
    "def score(completion, answer, level=0, **row):": 3,
}


@pytest.mark.parametrize("head", TAKEN)
def test_a_function_is_given_the_columns_that_its_parameters_name(head: str, module: Any) -> None:
    what = "level" if "level" in head else "row" if "row" in head else "None"
    name = module(f"SEEN = []\n{head}\n    SEEN.append({what})\n    return 1.0\n")
    assert reward_function(f"{name}:score")("x", "y", level=3, prompt="z").score == 1.0
    (seen,) = sys.modules[name].SEEN
    assert seen == TAKEN[head]


def test_a_column_may_have_any_name(module: Any) -> None:
    name = module("def score(completion, answer, **row):\n    return float(row == {'self': 1, 'name': 2})\n")
    assert reward_function(f"{name}:score")("x", "y", **{"self": 1, "name": 2}).score == 1.0


REFUSED = {
    "def score(completion, answer, levl):": ("its parameter levl is no column", "'level', 'prompt'"),
    "def score(completion, answer, *, levl, **row):": ("its parameter levl is no column", "give it a default"),
    "def score(completion):": ("it takes 1 of the two", "take both"),
    "def score(**row):": ("it takes 0 of the two", "take both"),
    "def score(answer, completion):": ("its parameter completion is not number 1", "put these two first"),
    "def score(prompt, completion, answer):": ("its parameter completion is not number 1", "put these two first"),
    "def score(*, completion, answer):": ("its parameter completion is not number 1", "put these two first"),
    "def score(completion, level, **row):": ("its parameter level is given the answer", "call that parameter answer"),
    "def score(c, a, level, /):": ("its parameter level takes no name", "leave out the /"),
}


@pytest.mark.parametrize("head", REFUSED)
def test_a_function_that_cannot_be_called_so_is_told_where_it_stands_and_why(head: str, module: Any) -> None:
    name = module(f"\n\n{head}\n    return 1.0\n")
    with pytest.raises(UserError) as error:
        reward_function(f"{name}:score")("x", "y", level=1, prompt="z")
    assert error.value.what == f"the reward {name}:score ({name}.py, line 3) cannot be called"
    why, instead = REFUSED[head]
    assert error.value.why.startswith(why)
    assert instead in error.value.why + error.value.instead
    assert "**row" in error.value.instead


def test_a_function_that_returns_nothing_is_told_where_it_stands(module: Any) -> None:
    name = module("import functools\n\ndef score(completion, answer):\n    pass\n")
    with pytest.raises(UserError, match=rf"returned None, .* \({name}\.py, line 3\)"):
        reward_function(f"{name}:score")("x", "y")


def test_an_interruption_is_not_swallowed(module: Any) -> None:
    name = module("def score(c, a, **row):\n    raise KeyboardInterrupt\n")
    with pytest.raises(KeyboardInterrupt):
        reward_function(f"{name}:score")("x", "y")


IMPORTS = {
    "score": "is no reward",
    ":score": "is no reward",
    "nowhere_to_be_found:score": "cannot be imported",
    "BROKEN:score": "cannot be imported",
    "GOOD:scroe": "did you mean score",
    "GOOD:CONSTANT": "has no function CONSTANT",
}


@pytest.mark.parametrize("name", IMPORTS)
def test_a_reward_that_cannot_be_found_is_named(name: str, module: Any) -> None:
    broken = module("import nothing_of_that_name\n")
    good = module("CONSTANT = 1\ndef score(c, a, **row):\n    return 1.0\n")
    with pytest.raises(UserError, match=IMPORTS[name]):
        reward_function(name.replace("BROKEN", broken).replace("GOOD", good))


def test_exact_leaves_white_space_around_aside_and_nothing_else() -> None:
    assert exact(" 4\n", "4", level=1).score == 1.0
    assert exact("4.", "4").score == 0.0
    assert exact("", "4").score == 0.0
    assert not math.isnan(exact("4", "").score)
