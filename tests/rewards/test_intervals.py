"""Inequalities of one letter are sets of numbers, however they are written."""

from __future__ import annotations

from tests.rewards.tables import scores

# (gold, answer)
SAME = [
    ("3<x<5", "5>x>3"),
    ("3<x<5", r"x>3 \text{ and } x<5"),
    ("3<x<5", r"x<5 \land x>3"),
    ("3<x<5", "(3,5)"),
    ("(3,5)", "5>x>3"),
    ("(3,5)", "x>3, x<5"),
    ("|x|<1", "-1<x<1"),
    ("-1<x<1", "|x|<1"),
    ("(-1,1)", "|x|<1"),
    (r"x\in(3,5)", "3<x<5"),
    ("3<x<5", r"x\in(3,5)"),
    (r"3\le x\le5", r"5\ge x\ge3"),
    ("[3,5)", r"x \ge 3 \text{ and } x < 5"),
    ("x>3", r"(3,\infty)"),
    ("x>3", "3<x"),
    (r"x<2\text{ or }x>3", r"(-\infty,2)\cup(3,\infty)"),
    (r"x<2\text{ or }x>3", "x>3 or x<2"),
    ("|x|>1", r"x<-1 \text{ or } x>1"),
    (r"(-\infty,-1)\cup(1,\infty)", "|x|>1"),
    ("x^2<1", "-1<x<1"),
    (r"|x-2|\le 3", r"-1\le x\le 5"),
    ("[-1,5]", r"|x-2|\le 3"),
    (r"x\leq 3", r"(-\infty,3]"),
    ("3<x<5", r"3 < x \text{ and } x < 5"),
    ("k>3", r"(3,\infty)"),
    (r"0<a<\frac{1}{e}", r"(0,\frac1e)"),
    (r"-\sqrt2<x<\sqrt2", r"(-\sqrt2,\sqrt2)"),
    (r"-\sqrt2<x<\sqrt2", r"\sqrt2>x>-\sqrt2"),
    ("(3,5)", r"3 \lt x \lt 5"),
    ("x > 3 and x < 5", "3<x<5"),
    ("3<x<5", r"\{x \mid 3<x<5\}"),
    (r"-\infty<x<2", "x<2"),
    (r"x\neq 2", r"(-\infty,2)\cup(2,\infty)"),
    (r"x\ge1", r"x\geqslant 1"),
    ("[1,3]", r"1\leqslant x\leqslant 3"),
    ("1<x<2, x>3", r"(1,2)\cup(3,\infty)"),
]
# (gold, answer)
OTHER = [
    ("3<x<5", "5>x>2"),
    ("3<x<5", r"x>3 \text{ and } x<6"),
    ("3<x<5", r"3<x\le5"),
    ("3<x<5", "x>3"),
    ("3<x<5", "3>x>5"),
    ("|x|<1", "-1<x<2"),
    ("|x|<1", r"|x|\le1"),
    ("(3,5)", "x>3"),
    ("(3,5)", r"x>3 \text{ or } x<5"),
    ("x>3", "x<3"),
    ("3<x<5", "3<y<5"),
    ("3<x<5", "[3,5]"),
    (r"x<2\text{ or }x>3", "2<x<3"),
    ("3<x<5", "5<x<3"),
    ("|x|>1", "x>1"),
    (r"x\neq2", "x=2"),
    (r"-\sqrt2<x<\sqrt2", r"-\sqrt3<x<\sqrt3"),
    ("x>3", "x"),
    ("x<3", "3"),
    ("a<b", "b<a"),
    ("x>y", "y>x"),
]


test_what_is_the_same = scores(1.0, SAME)
test_what_is_another = scores(0.0, OTHER)
