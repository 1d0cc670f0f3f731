"""What counts as the same mathematics, and what does not."""

from __future__ import annotations

import random

import pytest

from stiefel.rewards.mathematics.equal import equal
from stiefel.rewards.mathematics.math import grade_gsm8k, grade_math
from stiefel.rewards.mathematics.values import same_values, values

# (gold, answer)
EQUAL = [
    ("69, 84", "84, 69"),
    ("69, 84", r"69 \text{ and } 84"),
    ("x=1 or x=2", "1, 2"),
    ("x=1 or x=2", r"x = 2 \text{ or } x = 1"),
    ("1, 2", "x=1, x=2"),
    ("1", "x = 1"),
    ("x=1", "1"),
    ("f(n)=n, g(n)=1", "g(n) = 1, f(n) = n"),
    ("f(x)=x^2", r"f(x) = x \cdot x"),
    ("y=2x+3", "2x - y + 3 = 0"),
    ("(1,2)", "1 < x < 2"),
    ("[0,1)", r"0 \le x < 1"),
    (r"(-\infty, 3)", "x < 3"),
    (r"[1,\infty)", r"x \ge 1"),
    (r"x \ge 1", r"[1, \infty)"),
    (r"(0,1) \cup (2,3)", r"(2,3) \cup (0,1)"),
    (r"\{1, 2, 3\}", r"\{3, 1, 2\}"),
    (r"\emptyset", r"\{\}"),
    ("(3, -2)", r"\left(3, -2\right)"),
    (r"50\%", "50"),
    (r"50\%", "0.5"),
    ("0.5", r"50\%"),
    ("12.5%", r"\frac{1}{8}"),
    ("5", r"5\text{ cm}"),
    (r"5\text{ cm}^2", "5"),
    ("12", "12 apples"),
    ("18", "18 dollars"),
    ("18", r"\$18.00"),
    (r"30^\circ", "30"),
    ("30", "30°"),
    (r"1\frac{1}{2}", "1.5"),
    ("1 1/2", "3/2"),
    ("3/2", "1 1/2"),
    (r"2\frac34", "2.75"),
    ("1,000", "1000"),
    ("1000000", "1,000,000"),
    ("1000", "1{,}000"),
    (r"10{,}000", "10,000"),
    ("3", "3."),
    ("3", "3.00"),
    ("-1", "−1"),
    ("0.5", ".5"),
    ("1500", r"1.5 \times 10^3"),
    ("1000", "1e3"),
    ("0.00025", "2.5e-4"),
    ("1/3", "0.333333333"),
    (r"\frac{1}{2}", "1/2"),
    (r"\frac12", r"\dfrac{1}{2}"),
    (r"\frac{\sqrt2}{2}", r"\frac{1}{\sqrt{2}}"),
    (r"2\sqrt{3}", r"\sqrt{12}"),
    (r"2\sqrt{3}", "2√3".replace("√3", r"\sqrt{3}")),
    ("x^2+2x+1", "(x+1)^2"),
    (r"\sin^2 x + \cos^2 x", "1"),
    (r"\log_2 8", "3"),
    ("2^{10}", "1024"),
    ("5!", "120"),
    (r"\binom{5}{2}", "10"),
    (r"\pm 3", "3, -3"),
    (r"1 \pm \sqrt{2}", r"1+\sqrt2, 1-\sqrt2"),
    (r"\frac{\pi}{4}", r"\pi/4"),
    (r"4\pi", "4π"),
    ("2+3i", "3i + 2"),
    (r"\text{Evelyn}", "Evelyn"),
    (r"\text{(B)}", "B"),
    (r"\begin{pmatrix} 1 \\ 2 \end{pmatrix}", r"\begin{bmatrix} 1 \\ 2 \end{bmatrix}"),
    ("3:2", r"\frac{3}{2}"),
    (r"\frac{3}{x-1}", r"-\frac{3}{1-x}"),
    (r"e^{\ln 2}", "2"),
    ("$42$", "42"),
    (r"\boxed{42}", "42"),
    ("Twice 21 is 42.\n#### 42", "42"),
    ("½", "0.5"),
    (r"\sqrt[3]{8}", "2"),
    ("x^2 - 1", "(x-1)(x+1)"),
    (r"\frac{x^2-1}{x-1}", "x+1"),
    (r"3 \text{ and } -3", r"\{-3, 3\}"),
    (r"0.\overline{3}", r"\frac{1}{3}"),
    (r"\frac{121}{90}", r"1.3\overline{4}"),
    ("4343_6", "4343_{6}"),
    ("1010_2", "1010"),
    ("5", r"5~\text{cm}^2"),
    ("5", "5 km/h"),
    ("12", "12 red apples"),
    ("18", "18 dollars per day"),
    ("18", r"\text{The answer is } 18"),
    ("1250", r"1\,250"),
    ("1250", "1 250"),
    ("1250", "€1,250.00"),
    ("1250000", r"\$1.25 million"),
    ("1250000", r"1.25 \text{ million dollars}"),
    ("30", r"30\degree"),
    (r"30^\circ C", "30"),
    (r"33\frac{1}{3}\%", r"\frac{100}{3}\%"),
    (r"\frac{7}{2}", r"3\,\frac{1}{2}"),
    (r"(-\infty,2)\cup(3,\infty)", r"x<2 \text{ or } x>3"),
    ("f(n)=n", r"f(n)=n \text{ for all } n"),
    ("f(x)=x", r"f(x) = x \quad \forall x \in \mathbb{R}"),
    ("(3,4)", r"\langle 3,4\rangle"),
    ("(3,4)", "3, 4"),
    ("x=3, y=4", "(3, 4)"),
    ("x=3, y=4", "y=4, x=3"),
    ("(1,2),(3,4)", r"\{(3,4),(1,2)\}"),
    (r"\begin{pmatrix}1&2\\3&4\end{pmatrix}", r"\begin{pmatrix} 1 & 2 \\[4pt] 3 & 4 \end{pmatrix}"),
    (r"e^{i\pi/3}", r"\frac12+\frac{\sqrt3}{2}i"),
    ("-i", r"\frac{1}{i}"),
    ("even", r"\text{Even}"),
    (r"6:00 \text{ PM}", "6:00 PM"),
    ("10", r"10 \\"),
    ("0.333", r"x \approx 0.333"),
    (r"\emptyset", r"\varnothing"),
    ("1000, 2000", "1,000 and 2,000"),
    ("1,000, 2,000", "1000, 2000"),
    ("5", "a + b = 5"),
    ("(1,2)", r"x \in (1,2)"),
    ("1:2:3", "2:4:6"),
    (r"1.6\times 10^{-19}", r"16 \cdot 10^{-20}"),
    (r"1.6\times 10^{-19}", "1.6e-19"),
    (r"\frac{1}{3000000}", "3.33333333e-7"),
    ("2.5e-7", r"\frac{1}{4000000}"),
    (r"\frac{\pi}{10^{9}}", r"\pi \times 10^{-9}"),
    ("5", "2 + 3 = 5"),
    (r"(-\infty, 2]", r"\{x : x \le 2\}"),
    (r"(-\infty, 2]", r"\left\{x \in \mathbb{R} \mid x \leq 2\right\}"),
    ("5", r"5 \text{ m/s}^2"),
    ("5", r"x = 5 \text{ cm}^{2}"),
    (r"\frac{5}{2}", r"\frac{5}{2} \text{ m}"),
    ("R - r", "-r + R"),
    (r"\pi(R^2 - r^2)", r"\pi (R-r)(R+r)"),
    ("3R^2", "3r^2"),
]
UNEQUAL = [
    ("69, 84", "69"),
    ("69", "69, 84"),
    ("69, 84", "69, 85"),
    ("69, 84", "69, 84, 85"),
    ("4", "3, 4, 5"),
    ("x=1 or x=2", "1, 3"),
    ("x=1", "y=1"),
    ("x=1, y=2", "x=2, y=1"),
    ("f(n)=n, g(n)=1", "f(n)=1, g(n)=n"),
    ("f(x)=x^2", "f(x)=x^3"),
    ("y=2x+3", "y=3x+2"),
    ("(1,2)", "(2,1)"),
    ("(1,2)", "[1,2]"),
    ("[1,2)", "(1,2]"),
    ("(1,2]", "(1,2)"),
    ("[0,1)", r"0 \le x \le 1"),
    (r"(-\infty, 3)", "x > 3"),
    (r"(-\infty, 3)", r"x \le 3"),
    (r"[1,\infty)", "x > 1"),
    (r"(0,1) \cup (2,3)", "(0,3)"),
    (r"\{1, 2, 3\}", r"\{1, 2\}"),
    (r"\{1, 2\}", r"\{1, 2, 3\}"),
    (r"\emptyset", r"\{0\}"),
    ("(3, -2)", "(3, 2)"),
    ("(3, -2)", "(-2, 3)"),
    (r"50\%", "5"),
    (r"50\%", "0.05"),
    ("0.5", r"5\%"),
    ("50", "0.5"),
    ("5", r"50\text{ cm}"),
    ("12", "13 apples"),
    ("18", r"\$81"),
    (r"30^\circ", "60"),
    (r"1\frac{1}{2}", "11/2"),
    ("1 1/2", "11/2"),
    ("1 1/2", "1/2"),
    (r"2\frac34", "2.34"),
    ("1,000", "1"),
    ("1000", "10000"),
    ("1,234", "1.234"),
    ("3", "3.01"),
    ("3.14", "3.141"),
    ("3.14", r"\pi"),
    ("1", "-1"),
    ("0.5", "5"),
    ("1500", r"1.5 \times 10^2"),
    ("1000", "1e4"),
    ("1/3", "0.33"),
    ("1/3", "3"),
    (r"\frac{1}{2}", r"\frac{2}{1}"),
    (r"\frac12", r"\frac{1}{12}"),
    (r"2\sqrt{3}", r"3\sqrt{2}"),
    (r"\sqrt{12}", "12"),
    ("x^2+2x+1", "(x-1)^2"),
    ("x+1", "y+1"),
    (r"\sin x", r"\cos x"),
    (r"\log_2 8", "2"),
    ("2^{10}", "20"),
    ("2^{10}", "2^{11}"),
    ("5!", "5"),
    (r"\pm 3", "3"),
    ("3", r"\pm 3"),
    (r"1 \pm \sqrt{2}", r"1 + \sqrt{2}"),
    (r"\frac{\pi}{4}", r"\frac{\pi}{2}"),
    (r"4\pi", "4"),
    ("2+3i", "2-3i"),
    ("2+3i", "3+2i"),
    (r"\text{Evelyn}", "Carla"),
    (r"\text{(B)}", "C"),
    (r"\begin{pmatrix} 1 \\ 2 \end{pmatrix}", r"\begin{pmatrix} 2 \\ 1 \end{pmatrix}"),
    ("3:2", "2:3"),
    ("10^{100}+1", "10^{100}"),
    ("123456789012345678", "123456789012345679"),
    ("1000000.1", "1000000"),
    ("42", ""),
    ("42", "the answer"),
    ("42", "?"),
    ("0", ""),
    ("1", "True"),
    ("x^2", "x^{2"),
    ("42", "42 or 43"),
    (r"\infty", r"-\infty"),
    (r"0.\overline{3}", "0.3"),
    (r"\frac{121}{90}", r"1.\overline{34}"),
    ("4343_6", "4343_5"),
    ("1010_2", "10"),
    ("(1,2)", r"\{1,2\}"),
    (r"\{1,2\}", "(1,2)"),
    ("(3,4)", "4, 3"),
    ("(3,4)", "(4,3)"),
    ("x=3, y=4", "(4,3)"),
    ("x=3, y=4", "3"),
    ("5", r"5 \text{ or any other number}"),
    ("5", "5 xy"),
    ("5 xy", "5"),
    ("5", "5 million"),
    ("5 million", "5"),
    ("1250", "1 25"),
    ("110", "1 10"),
    ("5", r"\frac{5}{0}"),
    ("5", "NaN"),
    ("5", r"x \neq 5"),
    ("5", r"\text{not } 5"),
    ("5", r"\mathbb{R}"),
    (r"(-\infty,2)\cup(3,\infty)", r"x<2 \text{ or } x>4"),
    (r"(-\infty,2)\cup(3,\infty)", r"x<2 \text{ and } x>3"),
    (r"33\frac{1}{3}\%", r"33\frac{2}{3}\%"),
    ("-i", "i"),
    ("even", "odd"),
    ("6:00 PM", "6:00 AM"),
    ("1000, 2000", "1,000 and 3,000"),
    ("1:2:3", "1:3:2"),
    ("1:2:3", "1:2:4"),
    ("1:2:3", r"\frac{1}{6}"),
    (r"1.6\times 10^{-19}", r"3.2\times 10^{-19}"),
    (r"1.6\times 10^{-19}", r"1.7\times 10^{-19}"),
    (r"1.6\times 10^{-19}", "0"),
    ("0.0000005", r"5 \times 10^{-8}"),
    ("10^{-8}", "0.0"),
    (r"\frac{1}{3000000}", "0.0000001"),
    (r"\frac{\pi}{10^{9}}", r"2.0 \times 10^{-9}"),
    (r"\frac{\sqrt{2}}{10^{8}}", "0.0"),
    (r"\frac{\pi}{10^{9}}", r"\frac{\pi}{2 \cdot 10^{9}}"),
    (r"\frac{\sqrt{2}}{10^{8}}", r"10^{-8}"),
    (r"(-\infty, 2]", r"\{x : x < 2\}"),
    ("5", r"5 \text{ (or 6)}"),
    ("5", r"5 \text{ hours } 30 \text{ minutes}"),
    ("5", r"5\text{ cm} \times 6\text{ cm}"),
    ("R - r", "r - R"),
    ("R - r", "0"),
    ("0", "R - r"),
    (r"\frac{R}{r}", "1"),
    ("Rr", "r^2"),
    ("5", "3 = 5"),
    ("5", "x = 3 = 5"),
    ("5", "5 halves"),
    ("5", "5 tenths"),
    ("5", "5 factorial"),
    ("5", r"5\text{ if } x>0, 6 \text{ otherwise}"),
]


@pytest.mark.parametrize(("gold", "answer"), EQUAL)
def test_equal(gold, answer):
    grade = grade_math(f"Thus the result is \\boxed{{{answer}}}.", gold)
    assert (grade.score, grade.extracted is not None) == (1.0, True), grade


@pytest.mark.parametrize(("gold", "answer"), UNEQUAL)
def test_unequal(gold, answer):
    grade = grade_math(f"Thus the result is \\boxed{{{answer}}}.", gold)
    assert grade.score == 0.0, grade


def test_the_tables_are_long_enough_and_say_each_thing_once():
    assert len(set(EQUAL)) == len(EQUAL) >= 60
    assert len(set(UNEQUAL)) == len(UNEQUAL) >= 60
    assert not set(EQUAL) & set(UNEQUAL)


def test_plain_numbers_are_decided_as_math_verify_decides_them():
    rng, decided = random.Random(0), 0
    forms = (
        "{0}",
        "{0}, {1}",
        "({0}, {1})",
        "[{0}, {1})",
        "\\{{{0}, {1}\\}}",
        "x = {0}",
        "\\frac{{{0}}}{{{1}}}",
        "{0}/{1}",
    )
    for _ in range(240):
        texts = [rng.choice(forms).format(*sorted(rng.sample(range(1, 5), 2))) for _ in range(2)]
        first, second = (values(text) for text in texts)
        verdict = same_values(first, second)
        if verdict is not None:
            decided += 1
            assert verdict == equal(*texts), texts
    assert decided > 60


@pytest.mark.parametrize(
    "answer",
    [
        "x<2 <2 \\text{or } x>3x<2",
        "x<y \\text{ or } x>3",
        "\\sin x < 1 \\text{ or } x > i",
        "x<2 \\text{ or } \\sin{x} > \\cos{x} + x",
        "\\sum_{i=1}^{i} i",
        "i < i",
        "[i, 2i)",
        "\\frac{1}{i^2+1}",
        "f(i) \\le 3i",
        "\\int_0^1 i \\, di",
    ],
)
@pytest.mark.parametrize("gold", ["3i", "x<2 \\text{ or } x>3", "[1, 2]", "42"])
def test_an_answer_that_sympy_cannot_solve_is_wrong_and_no_failure(gold, answer):
    assert grade_math(f"\\boxed{{{answer}}}", gold).score == 0.0


@pytest.mark.parametrize("gold", sorted({gold for gold, _ in EQUAL + UNEQUAL}))
def test_a_gold_equals_itself(gold):
    assert grade_math(f"\\boxed{{{gold.rpartition('####')[2]}}}", gold).score == 1.0


@pytest.mark.parametrize(
    "completion",
    [
        "\\boxed{7}",
        "First \\boxed{3}, no: \\boxed{7}",
        "\\boxed{3}\n\nOn reflection, the answer is\n\\[\\boxed{7}.\\]",
        "\\fbox{7}",
        "\\boxed 7",
        "<think>Is it \\boxed{3}? Or 4?</think>It is \\boxed{7}.",
        "Is it \\boxed{3}?</think>\nIt is \\boxed{7}.",
        "Let me see.\nAnswer: 7",
        "**Final Answer:** $7$",
        "The final answer is: 7",
        "The answer is 7.",
        "The final answer is $7$. I hope it is correct.",
        "3 + 4 = 7",
        "So we get $x = 7$",
        "Answer: \\boxed{7}",
        "\\boxed{\\text{7}}",
        "$\\boxed{\\mathbf{7}}$",
        "Final Answer: The final answer is 7. I hope it is correct.",
        "Answer: The answer is 7.",
        "Answer: She makes $7 per day.",
        "<answer>7</answer>",
        "<think>3</think><answer>\nx = 7\n</answer>",
        "I get \\$7",
        "`7`",
        "####7",
        "#### Step 1. Add\nIt is 7",
        "The answer is not 3; it is 7.",
    ],
)
def test_where_the_answer_is_read(completion):
    assert grade_math(completion, "7").score == 1.0


@pytest.mark.parametrize(
    "completion",
    [
        "",
        " \n",
        "\\boxed{}",
        "\\boxed{7",
        "\\boxed{7}, no: \\boxed{3}",
        "<think>\\boxed{7}",
        "<think>\\boxed{7}</think>I do not know.",
        "\\boxed{7}</think>\\boxed{3}",
        "Answer: 7\nAnswer: 3",
        "\\boxed{1} \\boxed{7}",
        "\\boxed{1, 2, 3, 4, 5, 6, 7}",
        "\\boxed{" + "7" * 2000 + "}",
        "7 is too small, it is 8",
        "The answer is not 7.",
        "The answer is not $7$; it is $8$.",
        "I cannot say whether it is 7.",
        "#### 6 or 7",
        "Answer: 6 or 7",
        "It is 6 or 7",
        "either 6 or 7.",
        "It is 5, 6, or 7",
        "7 or 6",
    ],
)
def test_where_it_is_not(completion):
    assert grade_math(completion, "7").score == 0.0


def test_capitals_and_small_letters_are_told_apart_in_sentences_too():
    assert grade_math("So the area is $R - r$.", "R - r").score == 1.0
    assert grade_math("So the area is $r - R$.", "R - r").score == 0.0
    assert grade_math("So the area is 0.", "R - r").score == 0.0


@pytest.mark.parametrize("completion", ["\\boxed{1} and \\boxed{2}", "$\\boxed{2}$, $\\boxed{1}$", "\\boxed{1, 2}"])
def test_neighbouring_boxes_are_one_answer(completion):
    assert grade_math(completion, "1, 2").score == 1.0
    assert grade_math(completion, "2").score == 0.0


NO_GOLDS = ["", "  ", "\\boxed{}", "####", "\\frac{", "$$", None, [], {"a": 1}, True, float("nan"), "NaN", float("inf")]
NO_GOLDS += ["7" * 1001, "1e" + "9" * 999, "0.\\overline{" + "3" * 5000 + "}"]


@pytest.mark.parametrize("gold", NO_GOLDS, ids=lambda gold: repr(gold)[:20])
@pytest.mark.parametrize("grader", [grade_math, grade_gsm8k])
def test_a_gold_that_cannot_be_read_gives_no_score(grader, gold):
    grade = grader("\\boxed{1}", gold)
    assert grade.score is None
    assert grade.reason.startswith("unreadable gold")


@pytest.mark.parametrize(
    ("completion", "score"),
    [
        ("She has 5 - 2 = 3 left, twice is 6.\n#### 6", 1.0),
        ("#### 6\n\nI am done, in 3 steps.", 1.0),
        ("so 6 apples in all", 1.0),
        ("It costs $6.00.", 1.0),
        ("It is \\boxed{6}, not 7", 1.0),
        ("The answer is 6 and I used 3 steps.\nAnswer: 6", 1.0),
        ("6 apples for 2 children", 0.0),
        ("#### 7", 0.0),
        ("nothing", 0.0),
        ("x6", 0.0),
        ("#### Step 1: Count\n5 - 2 = 3\n#### Step 2: Double\n2 * 3 = 6\nThe answer is 6.", 1.0),
        ("#### 1. Count\n3\n#### Final Answer\n\\boxed{6}", 1.0),
        ("#### Therefore, she makes \\$6.", 1.0),
        ("It is not 5 but 6", 1.0),
        ("It is not 6.", 0.0),
        ("The answer is 5 or 6.", 0.0),
        ("The answer is between 5 and 6.", 0.0),
        ("So it is −6", 0.0),
    ],
)
def test_gsm8k_reads_the_last_number(completion, score):
    assert grade_gsm8k(completion, "2 * 3 = <<2*3=6>>6\n#### 6").score == score


def test_a_number_of_json_is_a_gold():
    assert grade_gsm8k("145", 145.0).score == 1.0
    assert grade_math("\\boxed{2.5}", 2.5).score == 1.0
    assert grade_math("\\boxed{25}", 2.5).score == 0.0
