"""Ratios are compared term by term, up to scale."""

from __future__ import annotations

from tests.rewards.tables import scores

# (gold, answer)
SAME = [
    (r"2:\sqrt5:3", r"4:2\sqrt5:6"),
    (r"1:2:\sqrt3", r"\sqrt3:2\sqrt3:3"),
    (r"1:\sqrt3:2", r"\frac{1}{2}:\frac{\sqrt3}{2}:1"),
    ("2:3", "4:6"),
    ("a:b:c", "2a:2b:2c"),
    (r"1:\sqrt2", r"\sqrt2:2"),
    ("3:2", "1.5"),
    ("3:2", "3 : 2"),
    ("3:2", r"3\colon 2"),
    (r"\sqrt3:2", r"\sqrt{3}\colon 2"),
    ("2:3", r"4\colon 6"),
    ("3:2", "3 to 2"),
    ("x:y", "xz:yz"),
    (r"\pi:4", r"\frac{\pi}{4}:1"),
    ("1:2:3", "1 : 2 : 3"),
    ("3:2", r"\frac32"),
    (r"1:2:3:\ldots", r"1:2:3:\dots"),
    ("25:9", r"\frac{25}{9}"),
]
# (gold, answer)
OTHER = [
    (r"1:2:\sqrt3", r"1:\sqrt3:2"),
    ("a:b:c", "a:c:b"),
    (r"1:\sqrt2", r"\sqrt2:1"),
    ("2:3", "3:2"),
    ("1:2:3", "1:2"),
    (r"1:2:\sqrt3", r"2\sqrt3"),
    (r"1:2:3:\ldots", r"1:4:9:\ldots"),
    (r"1:1:\sqrt2", "1"),
    (r"\sqrt3:2", r"2\colon\sqrt{3}"),
    ("2:3", "2"),
    ("a:b", "b:a"),
    (r"2:\sqrt5:3", r"2:\sqrt5:4"),
    (r"1:2:\sqrt3", "(1,2)"),
]


test_what_is_the_same = scores(1.0, SAME)
test_what_is_another = scores(0.0, OTHER)
