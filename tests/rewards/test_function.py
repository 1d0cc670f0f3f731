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


def test_a_function_that_takes_no_columns_is_told_how_it_is_called(module: Any) -> None:
    name = module("def score(completion, answer):\n    return 1.0\n")
    with pytest.raises(UserError, match="unexpected keyword argument") as error:
        reward_function(f"{name}:score")("x", "y", prompt="z")
    assert "**row" in error.value.instead


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
