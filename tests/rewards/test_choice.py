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
        "B is the answer.",
        "Hence B is my final answer",
        "The answer is most likely B.",
        "The answer is **ibuprofen**.",
        "\\boxed{\\text{ibuprofen}}",
        "\\boxed{\\text{Option B}}",
        "\\boxed{\\mathbf{B}}",
        "\\boxed{\\textbf{(B)}\\ 45}",
        "A) aspirin\nB) ibuprofen\nC) warfarin\nD) heparin\n\nB) ibuprofen",
        "Of (A), (B), (C) and (D), I take (B)",
        "The answer is B, I think",
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
        "It is (A) or (B).",
        "(B) or (C)",
        "We can rule out (A) and (B).",
        "DNB is the right molecule",
        "Vitamin B is the best treatment.",
        "\\boxed{}",
    ],
)
def test_it_is_not_b(completion):
    assert grade_choice(completion, "B", choices=CHOICES, prompt="Which?").score == 0.0


@pytest.mark.parametrize("answer", ["B", "b", "(B)", 1, "1", "ibuprofen"])
def test_the_layouts_of_a_gold(answer):
    assert grade_choice("Answer: B", answer, choices=CHOICES).score == 1.0


LISTS = [
    "A) aspirin\nB) ibuprofen\nC) warfarin\nD) heparin",
    "Options:\n- **A.** aspirin\n- **B.** ibuprofen\n- **C.** warfarin\n- **D.** heparin\n",
    "(A) aspirin (B) ibuprofen (C) warfarin (D) heparin",
    "(A) aspirin\n(B) ibuprofen\n(C) warfarin\n(D) heparin",
    "A: aspirin\n\nB: ibuprofen\n\nC: warfarin\n\nD: heparin\n\nLet me think.",
]


@pytest.mark.parametrize("text", LISTS)
@pytest.mark.parametrize("choices", [CHOICES, None])
def test_a_list_of_all_choices_chooses_none(text, choices):
    for gold in "ABCD":
        assert grade_choice(text, gold, choices=choices).score == 0.0
        assert grade_choice(f"{text}\nAnswer: {gold}", gold, choices=choices).score == 1.0


@pytest.mark.parametrize("choices", [["L", "R", "1/C", "C"], ["C", "D", "A", "B"], ["b", "c", "d", "a"]])
def test_a_letter_stands_before_a_choice_that_reads_so(choices):
    for number, gold in enumerate("ABCD"):
        for answer in (gold, f"({gold})", number):
            for form in ("Answer: {}", "The answer is {}.", "**Answer:** ({})", "\\boxed{{{}}}", "答案：{}"):
                scores = [grade_choice(form.format(letter), answer, choices=choices).score for letter in "ABCD"]
                assert scores == [float(place == number) for place in range(4)]


def test_a_small_letter_and_digits_are_first_a_choices_text():
    assert grade_choice("Answer: D", "a", choices=["b", "c", "d", "a"]).score == 1.0
    assert grade_choice("Answer: A", "a", choices=CHOICES).score == 1.0
    assert grade_choice("Answer: A", "2", choices=["2", "3", "0", "1"]).score == 1.0
    assert grade_choice("Answer: C", 2, choices=["2", "3", "0", "1"]).score == 1.0


def test_a_choice_that_begins_like_a_letter_is_read_whole():
    choices = ["rest", "heat", "A combination of both", "B and C"]
    assert grade_choice("The best answer is A combination of both.", "C", choices=choices).score == 1.0
    assert grade_choice("The answer is B and C", "D", choices=choices).score == 1.0
    assert grade_choice("The answer is A combination of both. No: the answer is B", "B", choices=choices).score == 1.0


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
