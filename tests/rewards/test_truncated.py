"""A completion that was cut off has an answer only where a form of answer says so."""

from __future__ import annotations

import pytest

from stiefel.rewards import CODE, GRADERS, grade_all
from stiefel.rewards.mathematics.math import grade_gsm8k, grade_math

MARKED = [
    "\\boxed{6}, so",
    "Answer: 6\nNow to check, 2 + ",
    "#### 6",
    "<answer>6</answer> and",
    "**Final answer:** 6\n",
]
UNMARKED = ["First 2 * 3 = 6", "so 6 apples and", "It is $6$, and", "The total is 6. Then"]
BROKEN_OFF = [
    "Then 1200 * 6 =",
    "so $1200 \\times 6 =",
    "Then we have 12 - 6 +",
    "1200 × 6 =\n",
    "we take 6 *",
    "4 < 6 <",
    "Total is 1200 × 6 ≈",
    "1200 times 6 is",
    "(1200 * 6",
    "so \\[1200 \\times 6 = \\]",
    "1200 * 6 = ?",
    "1200 * 6 = …",
    "1200 * 6 = ...",
    "1200 * 6 →",
    "1200 * 6 equals",
    "Total: **1200 * 6 =**",
    "There are 6 apples, minus",
    "It is (6",
    "\\boxed{6",
]
GRADERS_OF_NUMBERS = pytest.mark.parametrize("grader", [grade_math, grade_gsm8k])


@GRADERS_OF_NUMBERS
@pytest.mark.parametrize("completion", MARKED)
def test_a_mark_is_an_answer_although_the_rest_was_cut_off(grader, completion):
    assert grader(completion, "6", truncated=True).score == 1.0
    assert grader(completion, "7", truncated=True).score == 0.0


@GRADERS_OF_NUMBERS
@pytest.mark.parametrize("completion", UNMARKED)
def test_without_a_mark_it_has_none(grader, completion):
    grade = grader(completion, "6", truncated=True)
    assert (grade.score, grade.extracted) == (0.0, None)
    assert "cut off" in grade.reason


@pytest.mark.parametrize("completion", UNMARKED)
def test_one_that_ended_needs_no_mark(completion):
    assert grade_gsm8k(completion, "6").score == 1.0


@GRADERS_OF_NUMBERS
@pytest.mark.parametrize("completion", BROKEN_OFF)
def test_a_sum_without_its_result_is_no_answer(grader, completion):
    assert grader(completion, "6").score == 0.0


@GRADERS_OF_NUMBERS
@pytest.mark.parametrize(
    "completion",
    [
        "2 * 3 = 6",
        "2 * 3 = **6**",
        "it is 6 -- done",
        "It is $6$.",
        "- 6\n- that is all",
        "it is 6 (see above)",
        "So \\(6\\)",
    ],
)
def test_a_sum_with_its_result_is_one(grader, completion):
    assert grader(completion, "6").score == 1.0


@pytest.mark.parametrize("name", ["math", "gsm8k"])
def test_the_pool_is_told_of_each(name):
    completions = ["so it is 6", "so it is 6", "\\boxed{6}", "so it is 6"]
    grades = grade_all(GRADERS[name], completions, ["6"] * 4, truncated=[False, True, True, True])
    assert [grade.score for grade in grades] == [1.0, 0.0, 1.0, 0.0]
    assert [grade.score for grade in grade_all(GRADERS[name], completions, ["6"] * 4)] == [1.0] * 4


def test_other_graders_are_not_asked():
    grades = grade_all(GRADERS["exact"], ["6", "7"], ["6", "6"], truncated=[True, True])
    assert [grade.score for grade in grades] == [1.0, 0.0]
    assert not CODE.of_truncated
