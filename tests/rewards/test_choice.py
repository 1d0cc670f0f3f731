"""The letter that a completion settles on."""

from __future__ import annotations

import pytest

from stiefel.rewards.choice import grade_choice

CHOICES = ["aspirin", "ibuprofen", "warfarin", "heparin"]


@pytest.mark.parametrize(
    "completion",
    [
        "B",
        "b".upper() + ".",
        "(B)",
        "**B**",
        "B. ibuprofen",
        "B) ibuprofen",
        "The answer is B.",
        "The answer is (B) ibuprofen.",
        "The correct answer is: **B**",
        "Answer: B",
        "ANSWER: $B$",
        "Final answer: \\boxed{B}",
        "\\boxed{\\text{B}}",
        "\\boxed{(B)}",
        "\\boxed{B. ibuprofen}",
        "\\boxed{ibuprofen}",
        "ibuprofen",
        "Ibuprofen.",
        "A is wrong, and so is C. The answer is B",
        "The answer is A... no, the answer is B.",
        "The answer is A.\n\\boxed{B}",
        "\\boxed{A} cannot be. \\boxed{B}",
        "<think>The answer is A.</think>\nThe answer is B.",
        "The answer is A?</think>B",
        "Considering (A) and (C), I settle on (B)",
        "Let me think.\n\nB\n",
        "A patient with pain needs an NSAID.\nThe correct option is B",
        "The best choice is option B.",
        "The answer should be B",
        "Therefore, option B is correct.",
        "Clearly **B** is the right one: B is correct",
        "**Answer**: B",
        "I choose B",
        "I'd go with B.",
        "Answer B",
        '{"answer": "B"}',
        "B - ibuprofen",
        "<answer>B</answer>",
        "The best answer is therefore B.",
        "The answer is ibuprofen.",
        "Answer: ibuprofen",
        "answer: b",
        "the answer is b.",
        "(b)",
        "(A) is wrong, (C) is incorrect; the answer is not (D). (B)",
        "(A) thins blood, (D) too.\nB. ibuprofen",
    ],
)
def test_it_is_b(completion):
    grade = grade_choice(completion, 1, choices=CHOICES)
    assert (grade.score, grade.extracted) == (1.0, "B"), grade


@pytest.mark.parametrize(
    "completion",
    [
        "",
        "A",
        "The answer is A.",
        "The answer is B or C.",
        "The answer is A and B",
        "\\boxed{A, B}",
        "\\boxed{B, C}",
        "\\boxed{E}",
        "The answer is B. Wait, the answer is C.",
        "The answer is Bayer's drug",
        "<think>The answer is B.",
        "<think>B</think>C",
        "I would take B vitamins",
        "The answer is not (B).",
        "(B) is wrong",
        "\\boxed{A}\\boxed{B}",
        "\\boxed{A}, \\boxed{B}",
        "The answer is B? No, it is A.",
        "Answer: B; C",
        "Answer: B C",
        "Neither (A) nor (B)",
        "Choose B if it rains",
        "Bad question",
        "all of them",
        "ibuprofen or aspirin",
        "\\boxed{}",
    ],
)
def test_it_is_not_b(completion):
    assert grade_choice(completion, "B", choices=CHOICES, prompt="Which?").score == 0.0


@pytest.mark.parametrize("answer", ["B", "b", "(B)", 1, "1", "ibuprofen"])
def test_the_layouts_of_a_gold(answer):
    assert grade_choice("Answer: B", answer, choices=CHOICES).score == 1.0


def test_without_choices_the_letters_go_to_j():
    assert grade_choice("Answer: J", "J").score == 1.0
    assert grade_choice("Answer: K", "J").score == 0.0


def test_choices_by_letter_and_by_text():
    by_letter = dict(zip("ABCD", CHOICES, strict=True))
    by_column = {"text": CHOICES, "label": list("ABCD")}
    assert grade_choice("ibuprofen", "B", choices=by_letter).score == 1.0
    assert grade_choice("ibuprofen", "B", choices=by_column).score == 1.0


@pytest.mark.parametrize("answer", ["", "E", 4, "4", -1, None, True, "paracetamol", 2.0])
def test_a_gold_that_is_no_choice_gives_no_score(answer):
    assert grade_choice("B", answer, choices=CHOICES).score is None


def test_ten_megabytes_cost_little():
    for text in ("(" * 10_000_000, "\\boxed{" * 1_000_000, "answer " * 1_000_000, "A " * 5_000_000):
        assert grade_choice(text + "\nThe answer is B", "B").score == 1.0
