"""A box that is empty or only talked of hides no answer."""

from __future__ import annotations

from stiefel.rewards.mathematics.math import grade_gsm8k
from tests.rewards.tables import AS_IT_IS, scores

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


test_what_is_the_same_in_a_completion = scores(1.0, SAME_SAID, AS_IT_IS)
test_what_is_the_same_as_the_last_number = scores(1.0, SAME_LAST, AS_IT_IS, grade_gsm8k)
test_what_is_another_in_a_completion = scores(0.0, OTHER_SAID, AS_IT_IS)
