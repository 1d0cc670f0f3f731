"""A box that is empty or only talked of hides no answer."""

from __future__ import annotations

import pytest

from stiefel.rewards.mathematics.math import grade_gsm8k, grade_math

# (gold, completion)
SAME_SAID = [
    ("12", r"It is \boxed{12}, which I have put into \boxed for you."),
    ("12", r"We get \boxed{12} (written as \boxed{answer})."),
    ("12", "Answer: 12\n\\boxed{}"),
    ("12", "Answer: 12\n\n(in a \\boxed{} as told)"),
    ("12", "I put it in `\\boxed{}`.\nAnswer: 12"),
    ("12", r"\boxed{12} as in \boxed{\text{your answer}}"),
    ("12", r"Write \boxed{...}. Answer: 12"),
    ("12", r"\boxed{12}. As wanted in \boxed{}."),
    ("12", "\\boxed{\\ }\nAnswer: 12"),
    ("12", r"\boxed 12"),
    ("x", r"\boxed{x}"),
    ("12", "The final answer goes in \\boxed{\\ldots}: \nAnswer: 12"),
    ("12", r"<answer>12</answer> \boxed{}"),
    ("12", r"\boxed{\phantom{0}} Answer: 12"),
    ("12", r"\boxed{final answer here}. Answer: 12"),
    ("12", r"\boxed{\square} Answer: 12"),
    ("12", "\\boxed{insert answer here}\n\nThe answer is 12."),
    ("12", r"\boxed{12}, as in \boxed{\phantom{00}}"),
    ("12", "The answer is (12)"),
    ("12", "The answer is (12)."),
    ("12", r"\boxed{12} (that is how \boxed works)"),
]
# (gold, completion)
SAME_LAST = [
    ("12", "### 12\nIn \\boxed{ }"),
    ("12", r"The answer is 12, put in \boxed{}"),
]
# (gold, completion)
OTHER_SAID = [
    ("12", r"\boxed{13} and then \boxed{}"),
    ("12", r"\boxed{12}, no: \boxed{13}"),
    ("12", "Answer: 12\n\\boxed{13}"),
    ("7", r"\boxed{7"),
    ("12", r"\boxed{}"),
    ("12", r"\boxed{value of x}. Answer: 12"),
    ("12", r"\boxed{11} \boxed{final answer}. Answer: 12"),
    ("12", "This follows from (12)."),
]


@pytest.mark.parametrize(("gold", "completion"), SAME_SAID)
def test_what_is_the_same_in_a_completion(gold, completion):
    grade = grade_math(completion, gold)
    assert grade.score == 1.0, grade


@pytest.mark.parametrize(("gold", "completion"), SAME_LAST)
def test_what_is_the_same_as_the_last_number(gold, completion):
    grade = grade_gsm8k(completion, gold)
    assert grade.score == 1.0, grade


@pytest.mark.parametrize(("gold", "completion"), OTHER_SAID)
def test_what_is_another_in_a_completion(gold, completion):
    grade = grade_math(completion, gold)
    assert grade.score == 0.0, grade
