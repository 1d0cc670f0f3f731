"""DAPO's normalised exact match: the published form's own examples, and that it compares texts."""

from __future__ import annotations

import pytest

from stiefel.rewards.dapo import BOX_WINDOW, WINDOW, grade_dapo, grade_dapo_boxed, normalise, signed


@pytest.mark.parametrize(
    ("answer", "normal"),
    [
        (r"\frac12", r"\frac{1}{2}"),
        (r"\fracab", r"\frac{a}{b}"),
        (r"\sqrt2", r"\sqrt{2}"),
        (r"\sqrtab", r"\sqrt{a}b"),
        (r"\frac{abc}{bef}", r"\frac{abc}{bef}"),
        ("x = 5", "5"),
        ("1,000", "1000"),
        ("1,000.5", "1,000.5"),
        ("12 dollars", "12"),
        (r"12\text{ dollars}", "12"),
        (r"\text{Monday}", "Monday"),
        (r"\boxed{7}", "7"),
        ("the value $7$ it is", "7"),
        (r"45^\circ", "45"),
        (r"30^{\circ}", "30"),
        (r"\$5", "5"),
        ("a dog", "dog"),
        (r"x\text{and}y", "x,y"),
        (r"\mbox{cm}", ""),
        ("", ""),
    ],
)
def test_the_published_normal_form(answer, normal):
    assert normalise(answer) == normal


@pytest.mark.parametrize(
    ("completion", "score"),
    [
        ("So it is.\n\nAnswer: 34", 1.0),
        ("answer : $34$", 1.0),
        ("Answer: 3\nAnswer: 34", 1.0),
        ("Answer: 34\nAnswer: 3", 0.0),
        ("Answer: \\boxed{34}", 1.0),
        ("Answer: x = 34", 1.0),
        ("The answer is 34", 0.0),
        ("\\boxed{34}", 0.0),
        ("Answer: 34.0", 0.0),  # equal as mathematics, not as text
        ("Answer: 68/2", 0.0),
        ("Answer: 34" + " " * WINDOW, 0.0),
        ("x" * 10_000_000 + "Answer: 34", 1.0),
        ("", 0.0),
    ],
)
def test_the_last_answer_line_within_the_window(completion, score):
    grade = grade_dapo(completion, "34")
    assert grade.score == score
    assert signed(grade) == (1.0 if score else -1.0)


def test_the_strict_form_takes_only_the_box():
    assert grade_dapo_boxed("\\boxed{3} or \\boxed{34}", "34").score == 1.0
    assert grade_dapo_boxed("\\boxed{ 34.}", "34").score == 0.0
    assert grade_dapo_boxed("Answer: 34", "34").score == 0.0
    assert grade_dapo_boxed("\\boxed{34}" + " " * BOX_WINDOW, "34").score == 0.0


@pytest.mark.parametrize("grader", [grade_dapo, grade_dapo_boxed])
def test_an_empty_gold_gives_no_score(grader):
    grade = grader("Answer: 3", " ")
    assert grade.score is None
    assert signed(grade) is None
