"""Plain text and programs' expressions in the box."""

from __future__ import annotations

import pytest

from stiefel.rewards.mathematics.math import grade_math

# (gold, answer)
SAME = [
    (r"\frac{\pi}{2}", "pi/2"),
    ("x^2+1", "x**2+1"),
    (r"2\sqrt3", "2√3"),
    ("5", r"\sqrt(25)"),
    (r"\frac{\sqrt5}{5}", "sqrt(5)/5"),
    ("e^{9}-2", "-2 + exp(9)"),
    ("2^{n+1}", "2^(n+1)"),
    (r"\sqrt2+1", "1+2^0.5"),
    (r"2\pi", "2pi"),
    (r"\theta", "theta"),
    (r"2\pi", "2*pi"),
    (r"\frac{1+\sqrt5}{2}", "(1+sqrt(5))/2"),
    (r"\sqrt[3]{2}", "2**(1/3)"),
    (r"\frac{1}{x}", "x**-1"),
    (r"\ln 2", "np.log(2)"),
    (r"\ln 2", "ln(2)"),
    (r"\ln 2", "ln 2"),
    (r"\sin(x)", "sin(x)"),
    (r"\sin x \cos x", "sin(x)*cos(x)"),
    (r"\arctan 2", "atan(2)"),
    (r"\arctan 2", "arctan(2)"),
    (r"\infty", "inf"),
    (r"\infty", "oo"),
    (r"-\infty", "-oo"),
    (r"\frac{1}{2}", "Rational(1, 2)"),
    ("3x^2y", "3*x**2*y"),
    (r"\frac{1}{2}", "frac{1}{2}"),
    (r"\sqrt{3}", "sqrt{3}"),
    (r"\sqrt 3", "sqrt 3"),
    ("x^{10}", "x^10"),
    ("e^{-x}", "exp(-x)"),
    ("e^{-x}", "np.exp(-x)"),
    ("2+3i", "2+3*I"),
    ("2+3i", "2+3j"),
    ("|x|", "abs(x)"),
    ("120", "factorial(5)"),
    ("10", "binomial(5,2)"),
    (r"\frac{a}{b+c}", "a/(b+c)"),
    (r"\pi r^2", "pi*r^2"),
    (r"\pi r^2", "pi*r**2"),
    (r"\begin{pmatrix}1&2\\3&4\end{pmatrix}", "Matrix([[1, 2], [3, 4]])"),
    (r"\begin{pmatrix}1\\2\end{pmatrix}", "np.array([1,2])"),
    (r"\frac{3}{4}", "3/4"),
    (r"\frac{\sqrt{3}}{2}", "sqrt(3)/2"),
    (r"\sqrt{\frac{2}{3}}", "sqrt(2/3)"),
    (r"\log_2 3", "log2(3)"),
    (r"\frac{2}{\sqrt{\pi}}", "2/sqrt(pi)"),
    ("x^2-2x+1", "x^2 - 2*x + 1"),
    ("(1,2)", "(1, 2)"),
    (r"[0,\infty)", "[0, oo)"),
    (r"\alpha+\beta", "alpha + beta"),
    (r"\frac{1}{\sqrt{2}}", "1/√2"),
    (r"\sqrt{2}+\sqrt{3}", "√2+√3"),
    (r"x \le 3", "x <= 3"),
    (r"x\ge 3", "x >= 3"),
    (r"x\ne3", "x != 3"),
    (r"\lfloor x\rfloor", "floor(x)"),
    ("10^{-3}", "10**-3"),
    ("10^6", "10^6"),
    ("x^{1/3}", "x^(1/3)"),
    (r"\sqrt{x^2+1}", "sqrt(x**2 + 1)"),
    ("x_1+x_2", "x_1 + x_2"),
    (r"\cos^2 x", "cos^2(x)"),
    (r"\cos^2 x", "cos(x)**2"),
    (r"\cos^2 x", "cos(x)^2"),
]
# (gold, answer)
OTHER = [
    (r"\frac{\pi}{2}", "pi/3"),
    ("x^2+1", "x**2-1"),
    (r"2\sqrt3", "3√2"),
    ("5", r"\sqrt(26)"),
    ("x^2+1", "x*2+1"),
    ("2^{n+1}", "2^n+1"),
    (r"\sqrt2", "2^0.51"),
    (r"\theta", "t"),
    (r"\ln 2", "np.log(3)"),
    (r"\ln 2", "log10(2)"),
    (r"\infty", "-oo"),
    ("e^{16}", "exp(15)"),
    ("120", "factorial(4)"),
    ("x^{10}", "x^101"),
    (r"\sin x", "sin(y)"),
    (r"\arctan 2", "tan(2)"),
    ("2+3i", "2-3j"),
    ("p i", "pi"),
    ("5", '__import__("os").getpid()'),
    ("5", 'eval("5")'),
    ("5", "lambda: 5"),
    (r"\sqrt{2}+\sqrt{3}", "√(2+3)"),
    (r"\begin{pmatrix}1&2\\3&4\end{pmatrix}", "Matrix([[1, 3], [2, 4]])"),
]


@pytest.mark.parametrize(("gold", "answer"), SAME)
def test_what_is_the_same(gold, answer):
    grade = grade_math(f"So it is \\boxed{{{answer}}}.", gold)
    assert grade.score == 1.0, grade


@pytest.mark.parametrize(("gold", "answer"), OTHER)
def test_what_is_another(gold, answer):
    grade = grade_math(f"So it is \\boxed{{{answer}}}.", gold)
    assert grade.score == 0.0, grade
