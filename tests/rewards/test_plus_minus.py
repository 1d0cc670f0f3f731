"""What stands for two values is two values."""

from __future__ import annotations

from tests.rewards.tables import scores

# (gold, answer)
SAME = [
    (r"\frac{1\pm\sqrt5}{2}", r"\frac{1+\sqrt5}{2}, \frac{1-\sqrt5}{2}"),
    (r"\frac{1+\sqrt5}{2}, \frac{1-\sqrt5}{2}", r"\frac{1\pm\sqrt5}{2}"),
    (r"x=\frac{1\pm\sqrt5}{2}", r"\frac{1\pm\sqrt{5}}{2}"),
    (r"x=\pm 2", "x=2 or x=-2"),
    ("2, -2", r"\pm2"),
    ("2, -2", r"x=\pm2"),
    (r"\pm\frac{\sqrt2}{2}", r"\frac{1}{\sqrt2}, -\frac{1}{\sqrt2}"),
    ("(1,2),(1,-2)", r"(1,\pm2)"),
    ("(2,1),(-2,-1)", r"\pm(2,1)"),
    (r"x=\frac{-b\pm\sqrt{b^2-4ac}}{2a}", r"\frac{-b\pm\sqrt{b^2-4ac}}{2a}"),
    (r"0, \pm 1", "-1, 0, 1"),
    (r"2\pm 3i", "2+3i, 2-3i"),
    (r"\pm i", "i, -i"),
    (r"1 \pm 2", "3, -1"),
    ("±3", "3, -3"),
    (r"\frac{1}{2}\pm\frac{\sqrt3}{2}i", r"\frac{1\pm i\sqrt3}{2}"),
    (r"y=\pm\frac34x", r"y=\frac34x, y=-\frac34x"),
    (r"-1\mp 2", "-3, 1"),
]
# (gold, answer)
OTHER = [
    (r"\frac{1\pm\sqrt5}{2}", r"\frac{1+\sqrt5}{2}"),
    (r"\frac{1\pm\sqrt5}{2}", r"\frac{1\pm\sqrt3}{2}"),
    (r"\frac{1+\sqrt5}{2}", r"\frac{1\pm\sqrt5}{2}"),
    ("3", r"\pm3"),
    (r"\pm3", "-3"),
    (r"x=\pm2", "x=2"),
    (r"(1,\pm2)", "(1,2)"),
    (r"\pm\sqrt2", r"\sqrt2"),
    ("4, -2", r"1\pm 2"),
    (r"y=\pm\frac34x", r"y=\frac34x"),
    (r"2\pm3i", r"3\pm2i"),
]


test_what_is_the_same = scores(1.0, SAME)
test_what_is_another = scores(0.0, OTHER)
