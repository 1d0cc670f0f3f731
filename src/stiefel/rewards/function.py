"""`module:function` → a grader, in which a broken function never looks like a wrong answer."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Real
from typing import Any

from ..errors import UserError
from ..own_code import imported, place_in, place_of
from .grade import Grade
from .gym import PREFIX, is_gym
from .taken import DoesNotFit, taken

SIGNATURE = "def function(completion: str, answer: str, **row) -> float"


@dataclass(frozen=True)
class OwnReward:
    """The grader of a user's function(completion, answer, **row), which returns a number or a Grade.

    Without **row it is given the columns that its parameters name. Raises UserError, with the place in the user's
    file, where the function cannot be called so, raises or returns something that is no finite number: scored 0, a
    broken reward would look like a weak model.
    """

    name: str
    function: Callable[..., Any]

    def __call__(self, completion: str, answer: str, /, **row: Any) -> Grade:
        """The grade of one completion; `row` holds the other columns of the row, the prompt among them."""
        name = self.name
        try:
            columns = taken(self.function, row)
        except DoesNotFit as error:
            what = f"the reward {name}{place_of(self.function)} cannot be called"
            raise UserError(what, error.why, f"{error.instead}: {SIGNATURE}") from error
        try:
            value = self.function(completion, answer, **columns)
        except (
            Exception,
            SystemExit,
        ) as error:  # it is someone else's code: whatever it raises is reported, nothing is swallowed
            where = place_in(name.partition(":")[0], error) or place_of(self.function)
            raise no_reward(name, f"raised {type(error).__name__}: {error}{where}", completion, answer) from error
        given = value if isinstance(value, Grade) else Grade(number(value), None, name)
        if given.score is None or not math.isfinite(given.score):
            what = f"returned {value!r}, which is no finite number{place_of(self.function)}"
            raise no_reward(name, what, completion, answer)
        return given


def reward_function(name: str) -> OwnReward:
    """The grader that `module:function` names; the working directory is searched for the module first.

    Raises UserError, naming the function, where it cannot be imported.
    """
    return OwnReward(name, import_function(name))


def number(value: Any) -> float:
    """A real number as it is, NaN for anything else."""
    return float(value) if isinstance(value, Real) else math.nan


def no_reward(name: str, what: str, completion: str, answer: str) -> UserError:
    """The error of a reward that gives no reward."""
    return UserError(
        f"the reward {name} {what}",
        f"for the completion {completion[:100]!r} and the answer {answer[:100]!r}",
        f"mend the function; it is called as {SIGNATURE}",
    )


def import_function(name: str) -> Callable[..., Any]:
    """The callable that `module:function` names."""
    module, colon, attribute = name.partition(":")
    if is_gym(name):
        raise UserError(
            f"task.reward = {name!r} is no reward",
            f"{PREFIX}NAME is a task of the package reasoning-gym, which brings its own scorer",
            f"set task.name = {name!r} and leave task.reward out",
        )
    if not (module and colon and attribute):
        raise UserError(
            f"task.reward = {name!r} is no reward",
            "it is neither a known name nor of the form module:function",
            "set it to exact, or to module:function",
        )
    found = imported(name, "reward", callable, f"write one there: {SIGNATURE}")
    if not callable(found):
        raise UserError(
            f"the reward {name} cannot be called",
            f"{module} has no function {attribute}, but a {type(found).__name__} of that name",
            f"write one there: {SIGNATURE}",
        )
    function: Callable[..., Any] = found
    return function
