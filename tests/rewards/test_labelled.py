"""Values with words before them are compared with those of the same words, or with a list in its order."""

from __future__ import annotations

import pytest

from stiefel.rewards.mathematics.math import grade_math

SAME = [
    ("3, 5", "Alice: 3, Bob: 5"),
    ("3, 5", "Alice: 3; Bob: 5"),
    ("3, 5", "Alice: 3 and Bob: 5"),
    ("3, 5", r"\text{Alice: } 3, \text{ Bob: } 5"),
    ("3, 5", "Alice: 3 apples, Bob: 5 apples"),
    ("3, 5, 7", "Alice: 3, Bob: 5, Carol: 7"),
    ("1,000, 5", "Alice: 1,000, Bob: 5"),
    ("1/2, 1/3", r"Alice: \frac12, Bob: \frac13"),
    ("Alice: 3, Bob: 5", "3, 5"),
    ("Alice: 3, Bob: 5", "Bob: 5, Alice: 3"),
    ("Alice: 3, Bob: 5", "alice = 3, bob = 5"),
]
OTHER = [
    ("3, 5", "Alice: 5, Bob: 3"),
    ("3, 5", "Alice: 3"),
    ("3, 5", "Alice: 3, Bob: 5, Carol: 6"),
    ("3", "Alice: 3, Bob: 5"),
    ("5", "Alice: 3, Bob: 5"),
    ("8", "Alice: 3, Bob: 5"),
    ("Alice: 3, Bob: 5", "Alice: 5, Bob: 3"),
    ("Alice: 3, Bob: 5", "5, 3"),
    ("Alice: 3, Bob: 5", "Anna: 3, Bob: 5"),
]


@pytest.mark.parametrize("form", ["\\boxed{{{}}}", "Answer: {}"])
@pytest.mark.parametrize(("gold", "answer"), SAME)
def test_what_is_the_same(gold, answer, form):
    assert grade_math(form.format(answer), gold).score == 1.0


@pytest.mark.parametrize("form", ["\\boxed{{{}}}", "Answer: {}"])
@pytest.mark.parametrize(("gold", "answer"), OTHER)
def test_what_is_another(gold, answer, form):
    assert grade_math(form.format(answer), gold).score == 0.0
