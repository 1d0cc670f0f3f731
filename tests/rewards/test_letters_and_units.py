"""Upright and bold letters are letters; units are taken off, and nothing else is."""

from __future__ import annotations

import pytest

from stiefel.rewards.mathematics.math import grade_math

# (gold, answer)
SAME = [
    (r"\mathrm{e}^2", "e^2"),
    ("e^2", r"\mathrm{e}^2"),
    (r"\ln 2", r"\operatorname{ln} 2"),
    (r"\ln 2", r"\mathrm{ln}\,2"),
    (r"\ln 2", r"\text{ln}(2)"),
    ("5i", r"5\mathrm{i}"),
    (r"3\mathbf{i}-2\mathbf{j}", "3i-2j"),
    (r"3\mathbf{i}-2\mathbf{j}", r"3\hat{i}-2\hat{j}"),
    (r"3\mathbf{i}-2\mathbf{j}", "(3,-2)"),
    (r"3\mathbf{i}-2\mathbf{j}", r"-2\mathbf{j}+3\mathbf{i}"),
    ("(3,-2,0)", r"3\mathbf{i}-2\mathbf{j}+0\mathbf{k}"),
    ("(3,0,-2)", r"3\hat{\mathbf{i}}-2\hat{\mathbf{k}}"),
    (r"x\mathrm{e}^x", "xe^x"),
    ("x e^x", r"x\,\text{e}^{x}"),
    (r"\frac{x^2}{2}+C", r"\frac{x^2}{2}+\text{C}"),
    ("5", r"5\text{ m}"),
    ("5", r"5\,\mathrm{m}"),
    ("5", r"5\ \mathrm{m/s}"),
    ("5", r"5\ \mathrm{m\,s^{-1}}"),
    ("9.8", r"9.8\,\text{m}/\text{s}^2"),
    ("5", r"5\,\mathrm{kg\cdot m/s^2}"),
    ("5", r"5\mathrm{cm}^3"),
    ("5", "5 m"),
    ("5", "5m"),
    ("5", r"5\text{L}"),
    (r"2\pi", r"2\pi\text{ cm}"),
    (r"2\pi", r"2\pi\ \mathrm{rad}"),
    (r"\sqrt2", r"\sqrt{2}\text{ units}"),
    (r"x\mathbf{v}", r"\mathbf{v}x"),
    (r"6\mathbf{A}^{-1}", "6A^{-1}"),
    ("24", r"\operatorname{lcm}(8,6)"),
    (r"\sin x", r"\operatorname{sin} x"),
    (r"\mathrm{d}", "d"),
    (r"\mathbf{0}", "0"),
    ("3rd", "3"),
    ("5", r"5^{\text{th}}"),
    ("4", r"4 \text{ sq. units}"),
    ("12", r"12 \text{ square units}"),
    ("12", r"\textbf{12}"),
    ("12", r"12\text{ cm}^{2}"),
    ("12", r"12\text{ m/s}"),
    ("20", r"20\text{ students}"),
    ("a+b", r"\mathrm{a}+\mathrm{b}"),
    (r"\arcsin x", r"\operatorname{arcsin} x"),
    (r"2\mathrm{i}+1", "1+2i"),
    (r"\begin{pmatrix}3\\-2\end{pmatrix}", r"3\mathbf{i}-2\mathbf{j}"),
    ("150", r"150\,\Omega"),
    ("5", r"5\text{ }\mu\text{m}"),
]
# (gold, answer)
OTHER = [
    (r"3\mathbf{i}-2\mathbf{j}", r"3\mathbf{i}+100\mathbf{j}"),
    (r"3\mathbf{i}-2\mathbf{j}", "3"),
    ("5", r"5\mathrm{i}"),
    ("5", r"5\text{i}"),
    ("5", r"5\mathrm{e}"),
    ("5", r"5\mathbf{m}"),
    (r"3+4\mathrm{i}", "7"),
    (r"3+4\mathrm{i}", "3"),
    (r"x\mathrm{e}^x", "x"),
    ("x", r"x\mathrm{e}^x"),
    ("5", r"5\mathrm{x}"),
    ("5", r"5\mathbf{x}"),
    (r"\frac{1}{2}gt", r"\frac12"),
    ("5c", "5"),
    ("5", "5t"),
    ("5", "5x"),
    ("5", r"5\mathbf{A}"),
    ("2", r"2\ln 3"),
    ("2", r"2\mathrm{ln} 3"),
    ("2", r"2\operatorname{ln}3"),
    (r"2\mathbf{u}+\mathbf{v}", r"2\mathbf{u}"),
    (r"2\mathbf{u}", r"2\mathbf{v}"),
    (r"\frac{x^2}{2}+\mathrm{C}", r"\frac{x^2}{2}"),
    (r"5\mathrm{e}^{2}", "5"),
    ("(1,2,3)", r"\mathbf{i}+2\mathbf{j}-3\mathbf{k}"),
    ("(1,2)", r"2\mathbf{i}+\mathbf{j}"),
    ("5", r"5\text{ or so, maybe } 6"),
    ("3", r"3\mathrm{X}+5"),
    ("m", "5"),
    ("mg", "m"),
    ("mgh", "m"),
    ("5mg", "5"),
    (r"\frac{1}{2}mv^2", r"\frac12"),
    ("2ab", "2"),
    ("v t", "v"),
    ("x h", "x"),
    ("5", "5 ab"),
    (r"2\text{ thirds}", "2"),
    ("2", r"2\text{ dozen}"),
    ("2", r"2\text{ million}"),
    ("5 am", "5 pm"),
    ("5", "5 millones"),
    ("5", "5A"),
    ("5", "5N"),
    ("5", "5C"),
]


@pytest.mark.parametrize(("gold", "answer"), SAME)
def test_what_is_the_same(gold, answer):
    grade = grade_math(f"So it is \\boxed{{{answer}}}.", gold)
    assert grade.score == 1.0, grade


@pytest.mark.parametrize(("gold", "answer"), OTHER)
def test_what_is_another(gold, answer):
    grade = grade_math(f"So it is \\boxed{{{answer}}}.", gold)
    assert grade.score == 0.0, grade
