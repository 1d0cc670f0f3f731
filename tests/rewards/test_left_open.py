"""An answer that is left open is no answer: one number or another, a range, a bound. One said twice is one."""
# ruff: noqa: E501  many cases a line

from __future__ import annotations

import pytest

from stiefel.rewards.mathematics.math import grade_gsm8k, grade_math

GRADERS = [grade_math, grade_gsm8k]
# the completions offer 3 and 4, and are right about neither
EITHER = [
    "#### 3 apples or maybe 4 apples", "Answer: 3 apples or maybe 4", "Answer: 3, maybe 4", "Answer: 3 or, possibly, 4", "#### 3 or 4?",
    "The answer is 3 apples or perhaps 4 apples.", "So it is 3 apples or maybe 4 apples.", "#### maybe 3 or maybe 4", "#### 3 (maybe 4)",
    "#### 3 or so, maybe 4", "Answer: 3, I'm not sure, maybe 4", "Answer: 3 if lucky, otherwise 4", "Answer: one of 3 and 4", "Answer: x = 3 or x = 4",
    "The answer is either 3 or else 4.", "The answer is 3, or it might be 4.", "The answer is 3. Or maybe 4.", "Answer: 3 apples / 4 apples",
    "Answer: It's 3, although it may be 4", r"\boxed{3 \text{ or maybe } 4}", r"It is \boxed{3}, or maybe \boxed{4}.", "<answer>3 or maybe 4</answer>",
    "Antwort: 3 oder vielleicht 4", "Respuesta: 3 o quizás 4", "Réponse : 3 ou peut-être 4", "Ответ: 3 или, возможно, 4", "정답: 3 또는 4",
    "答案：3，也可能是4", "答え：3または4", "Answer: **3** or **4**", "#### 3, or 4 if it rains", "Answer: not sure, 3 or perhaps even 4 apples.",
]  # fmt: skip
RANGES = ["#### from 3 to 4 days", "Answer: between 3 apples and 4 apples", "Answer: 3-4 days", "Answer: it takes 3-4 days of work", "Answer: from 3 to 4 apples"]  # fmt: skip
BOUNDS = [
    "#### at least 3", "#### at most 3", "#### more than 3", "#### less than 3", "#### under 3", "#### over 3", "#### up to 3", "#### no more than 3",
    "Answer: at least 3 apples", "The answer is at least 3.", "It is more than 3.", r"\boxed{\text{at least }3}", "#### 3 or more", "#### 3 apples or more",
    "#### minimum of 3", "#### mindestens 3", "Answer: 至少3", "#### > 3", "#### 3+", "The answer is > 3", r"The answer is $\ge 3$.", "Answer: 3 is wrong",
]  # fmt: skip
ROOTS = [(r"\sqrt{3}", r"\boxed{\sqrt2 \text{ or maybe } \sqrt3}"), ("1/3", r"Answer: $\frac12$ or maybe $\frac13$")]
# (gold, completion)
DECIDED = [
    ("3", "#### 3 (or 3.0)"), ("1/2", "#### 1/2 or 0.5"), ("0.5", "Answer: 50% or 0.5"), ("1/2", r"\boxed{0.5 \text{ (or } 1/2)}"),
    ("2.5", "#### 2 and a half"), ("3.75", "Answer: 3 and three quarters"), ("3", "#### about 3"), ("3", "Answer: approximately 3"), ("3", "Answer: about 3 apples"),
    ("3", "Answer: At least one is red, so it is 3"), ("8", "He has at least 5 and so the total is 8."), ("3", "So she needs at least 3 boxes."),
    ("7", "His score rose from 3 to 7."), ("2-3x", "Answer: $2 - 3x$"), ("f(x)=2-3x", r"\boxed{f(x)=2-3x}"), ("18", "Answer: She could be 18"),
    ("4", "It could be 3 or 4, but 3 is odd, so it is 4."), ("3:2", r"\boxed{3 \text{ to } 2}"), ("2, 3", "Answer: 2 or 3"), ("2, 3", "Answer: x = 2 or maybe x = 3"),
    ("3 to 7 days", "Answer: 3 to 7 days"), ("at least 3", "Answer: at least 3"), ("7", "The total is 7 or more precisely 7.0"), ("6", "It is not 5 but 6"),
    ("36", "Answer: Thus, 36 students got B and above."),
    ("36", "#### 36 students got a B or above"),
    (r"\frac{3\pi}{4}", r"\boxed{3pi/4}"),
    ("4", "Since 2 is even, 4 is the answer."),
    ("2", "#### 5 - 3 = 2 days"), ("3", r"\boxed{3} and maybe more."), (r"\frac{3}{5}", r"\boxed{3 \text{ out of } 5}"), ("3/5", "#### 3 out of 5"),
]  # fmt: skip


@pytest.mark.parametrize("grader", GRADERS)
@pytest.mark.parametrize("completion", EITHER + RANGES)
def test_one_of_two_numbers_is_neither(completion, grader):
    assert [grader(completion, gold).score for gold in ("3", "4")] == [0.0, 0.0]


@pytest.mark.parametrize("grader", GRADERS)
@pytest.mark.parametrize("completion", BOUNDS)
def test_a_bound_is_not_the_number(completion, grader):
    assert grader(completion, "3").score == 0.0


@pytest.mark.parametrize(("gold", "completion"), ROOTS)
def test_one_of_two_roots_or_fractions_is_neither(gold, completion):
    assert grade_math(completion, gold).score == 0.0


@pytest.mark.parametrize("grader", GRADERS)
@pytest.mark.parametrize(("gold", "completion"), DECIDED)
def test_one_value_said_twice_or_beside_others_is_the_answer(gold, completion, grader):
    assert grader(completion, gold).score == 1.0
