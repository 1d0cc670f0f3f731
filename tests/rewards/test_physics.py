"""Golds as college courses write them: named constants, indices, rates, decimal points, numpy."""

from __future__ import annotations

import pytest

from stiefel.rewards.mathematics.math import grade_math

# (gold, answer)
SAME = [
    (r"\frac{1.}{2.}", r"\frac12"),
    (r"\frac{3.}{5.}", "0.6"),
    ("2.", "2"),
    (r"\frac{\hbar}{2m}", r"\frac{\hbar}{2 m}"),
    (r"\frac{\hbar\omega}{2}", r"\frac{1}{2}\hbar\omega"),
    (r"\frac{\hbar^2k^2}{2m}", r"\frac{(\hbar k)^2}{2m}"),
    (r"k_B T \ln 2", r"k_{B}T\ln(2)"),
    (r"\frac{\mu_0 I}{2\pi r}", r"\frac{\mu_{0} I}{2 \pi r}"),
    (r"\frac{1}{4\pi\epsilon_0}\frac{q}{r^2}", r"\frac{q}{4\pi\epsilon_0 r^2}"),
    ("x_1, x_2, x_3", "x_{1}, x_{2}, x_{3}"),
    ("x_1, x_2, x_3", "x_3, x_1, x_2"),
    (r"\frac{dy}{dx}=2x", r"\frac{dy}{dx} = 2x"),
    (r"\frac{dy}{dx}=2x", "2x"),
    (r"\frac{d y}{d t}=-k y", r"\frac{dy}{dt} = -ky"),
    (r"\frac{dy}{dt}=-ky", "-ky"),
    (r"\frac{d^2y}{dx^2}=-y", r"\frac{d^2 y}{dx^2} = -y"),
    (r"\dot{x}=2x", r"\dot{x} = 2 x"),
    ("np.arcsin(10/13)", r"\arcsin\frac{10}{13}"),
    ("np.arcsin(10/13)", "np.arcsin(10/13)"),
    ("-np.log(2)", r"-\ln 2"),
    ("np.sqrt(2)/2", r"\frac{\sqrt2}{2}"),
    ("np.exp(-1)", "e^{-1}"),
    ("3*np.pi", r"3\pi"),
    ("np.cos(np.pi/5)", r"\cos\frac{\pi}{5}"),
    (r"\frac{m v^2}{2 k_B}", r"\frac{1}{2}\frac{mv^2}{k_B}"),
    (r"\hbar", r"\hbar"),
    (r"\hbar", "ħ"),
    (r"E_n=\frac{n^2\pi^2\hbar^2}{2mL^2}", r"\frac{n^2 \pi^2 \hbar^2}{2 m L^2}"),
    (r"\ell(\ell+1)\hbar^2", r"\hbar^2\ell(\ell+1)"),
    ("a_1, b_2", "b_2, a_1"),
    (r"\sigma T^4", r"T^4\sigma"),
    ("3e8", r"3 \times 10^8"),
    (r"\frac{3.00\times10^8}{2.}", "150000000"),
    ("1.", "1.0"),
    (r"\frac{4.}{3} \pi", r"\frac{4\pi}{3}"),
    (r"\lambda_1, \lambda_2", r"\lambda_{1},\lambda_{2}"),
    (
        r"\frac{\partial u}{\partial t}=k\frac{\partial^2 u}{\partial x^2}",
        r"\frac{\partial u}{\partial t} = k \frac{\partial^2 u}{\partial x^2}",
    ),
    ("e^{-t/RC}", r"e^{-\frac{t}{R C}}"),
    ("I_0 e^{-t}", "I_{0}e^{-t}"),
    ("v_0 t", "v_{0} t"),
    ("g/(2 h)", r"\frac{g}{2h}"),
    ("m g h", "mgh"),
    (r"\frac{dy}{dx}=2x", "y'=2x"),
    ("y'=2x", r"\frac{dy}{dx}=2x"),
    ("y''=-y", r"\frac{d^2y}{dx^2}=-y"),
    ("y'+y=0", r"\frac{\mathrm{d}y}{\mathrm{d}x}+y=0"),
    (r"\varepsilon_0", r"\epsilon_0"),
    (r"\frac{1}{4\pi\epsilon_0}", r"\frac{1}{4\pi\varepsilon_0}"),
    (r"\phi", r"\varphi"),
    (r"\cos\theta", r"\cos\vartheta"),
    (r"\phi\varphi", r"\varphi\phi"),
    ("u(t)", "u(t)"),
    ("y'=2x", "y' = 2x"),
    (r"\frac{2 G M}{c^2}", r"\frac{2GM}{c^{2}}"),
]
# (gold, answer)
OTHER = [
    (r"\frac{1.}{2.}", r"\frac13"),
    (r"\frac{\hbar}{2m}", r"\frac{1}{2m}"),
    (r"\hbar\omega", r"\omega"),
    (r"\frac{\hbar^2k^2}{2m}", r"\frac{\hbar k^2}{2m}"),
    ("x_1, x_2, x_3", "x_1, x_2"),
    ("x_1, x_2, x_3", "x_1, x_2, x_4"),
    (r"\frac{dy}{dx}=2x", "y=2x"),
    (r"\frac{dy}{dx}=2x", r"\frac{dy}{dx}=3x"),
    (r"\frac{dy}{dx}=2x", r"\frac{dy}{dt}=2x"),
    (r"\frac{d^2y}{dx^2}=2x", r"\frac{dy}{dx}=2x"),
    ("np.arcsin(10/13)", r"\arcsin\frac{10}{14}"),
    ("-np.log(2)", r"\ln 2"),
    ("I_0 e^{-t}", "e^{-t}"),
    ("y'=2x", r"\frac{dz}{dx}=2x"),
    ("y''=2x", r"\frac{dy}{dx}=2x"),
    (r"\frac{dy}{dx}=2x", "y'=3x"),
    (r"\frac{dy}{dx}=2x", "x'=2x"),
    (r"\epsilon_0", r"\varepsilon_1"),
    (r"\phi\varphi", r"\phi^2"),
    (r"\phi", r"\vartheta"),
    ("I_0", "I_1"),
    ("E_0", "E_1"),
    ("mgh", "mg"),
    ("v_0 t", "v t"),
    ("k_B T", "T"),
]


@pytest.mark.parametrize(("gold", "answer"), SAME)
def test_what_is_the_same(gold, answer):
    grade = grade_math(f"So it is \\boxed{{{answer}}}.", gold)
    assert grade.score == 1.0, grade


@pytest.mark.parametrize(("gold", "answer"), OTHER)
def test_what_is_another(gold, answer):
    grade = grade_math(f"So it is \\boxed{{{answer}}}.", gold)
    assert grade.score == 0.0, grade
