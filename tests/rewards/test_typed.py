"""What is typed without brackets is what its writer meant by it, where that is not in doubt."""

from __future__ import annotations

from tests.rewards.tables import scores

# (gold, answers)
SAME = [
    (r"\sqrt{2}", ["sqrt2", "Sqrt(2)", "sqrt 2"]),
    (r"2\sqrt3", ["2sqrt3", "2 sqrt3", "2*sqrt3"]),
    (r"\frac{\sqrt3}{2}", ["sqrt3/2", r"\frac\sqrt32", r"\frac{\sqrt3}2", r"\frac\sqrt{3}2"]),
    (r"\frac{\sqrt3}{\sqrt2}", [r"\frac\sqrt3\sqrt2", "sqrt3/sqrt2"]),
    (r"\frac{1}{\sqrt3}", [r"\frac1\sqrt3", "1/sqrt3"]),
    (r"2^{\sqrt2}", ["2^sqrt2", "2^(sqrt2)"]),
    (r"\sqrt{x}", ["sqrtx"]),
    (r"\frac{\ln 2}{\ln 3}", ["ln2/ln3", r"\ln 2/\ln 3", "log(2)/log(3)"]),
    (r"\frac{\log 2}{\log 3}", ["log2/log3"]),
    (r"\ln\frac23", ["ln(2/3)", "ln 2/3"]),
    (r"\frac{3\pi}{4}", ["3/4 pi", "3pi/4"]),
    (r"\frac{3}{4\pi}", ["3/(4 pi)", "3/(4pi)"]),
    (r"\binom{10}{3}", ["C(10,3)", "10 choose 3", "(10 choose 3)", "120"]),
    ("120", ["C(10,3)", "10 choose 3", r"10 \text{ choose } 3", r"{10 \choose 3}", "10C3", "nCr(10,3)"]),
    (r"\frac{10!}{3!7!}", ["C(10,3)"]),
    ("C(10,3)", ["C(10,3)"]),
    (r"\ln 2", ["log(2)", "np.log(2)", "ln(2)"]),
    (r"\log 2", ["log(2)", r"\log(2)"]),
    ("2", [r"\log 100", "log(100)"]),
    (r"\pm 3", ["+/-3", "+/- 3", "3, -3"]),
    (r"5\pm2", ["5+/-2", "5 +/- 2"]),
    (r"\pm\sqrt2", ["+/-sqrt(2)", "+/-sqrt2"]),
    ("e^{-2x}", ["e^-2x", "exp(-2x)"]),
    ("2e^{-3t}", ["2e^-3t"]),
    ("e^{-2}x", ["e^{-2}x"]),
    ("x^{-2}y", ["x^-2y"]),
    ("(50!)^2", ["50!^2"]),
    ("((2n)!)^2", ["(2n)!^2"]),
    ("14400", ["5!^2"]),
    (r"\frac{100!}{50!^2\cdot2^{100}}", [r"\frac{\binom{100}{50}}{2^{100}}", r"\frac{100!}{(50!)^2\cdot 2^{100}}"]),
]
OTHER = [
    (r"\sqrt2", ["sqrt3", "2sqrt2"]),
    (r"\frac{\ln 2}{\ln 3}", ["ln3/ln2"]),
    (r"\frac{3}{4\pi}", ["3/4 pi"]),
    ("3/4", ["3/4 pi"]),
    ("120", ["C(3,10)", "9 choose 3"]),
    ("(10,3)", [r"\binom{10}{3}", "10 choose 3"]),
    (r"\ln 100", ["2", r"\log 100", "log(100)"]),
    ("2", [r"\ln 100"]),
    (r"\ln 2", [r"\log 2", "log2(2)", "log(3)"]),
    (r"\log_2 3", ["log(3)"]),
    ("3", ["+/-3"]),
    (r"\pm3", ["3"]),
    ("e^{-2x}", ["e^-2", "e^{-2}x", "e^-3x"]),
    ("n!^2", ["(n^2)!", "n!"]),
    ("24^2", ["4!^3"]),
    (r"\frac{\sqrt3}{2}", [r"\frac\sqrt23"]),
]


def pairs(table):
    return [(gold, answer) for gold, answers in table for answer in answers]


test_what_is_the_same = scores(1.0, pairs(SAME))
test_what_is_another = scores(0.0, pairs(OTHER))
