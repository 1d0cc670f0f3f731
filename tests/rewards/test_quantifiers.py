"""What an answer holds for is no part of it."""

from __future__ import annotations

import time

from stiefel.rewards.mathematics.quantifiers import unquantified
from tests.rewards.tables import AS_IT_IS, scores

# (gold, answer)
SAME = [
    ("f(x)=x+1", r"\forall x\in\mathbb{R}, f(x)=x+1"),
    ("f(x)=x+1", r"\text{for all } x, f(x)=x+1"),
    ("f(x)=x+1", "For all real x, f(x)=x+1"),
    ("f(x)=x+1", r"f(x)=x+1 \text{ for all } x \in \mathbb{R}"),
    ("f(x)=x+1", r"f(x)=x+1, \forall x\in\mathbb{R}"),
    ("f(x)=x+1", r"\forall x \in \mathbb{R}: f(x)=x+1"),
    ("f(x)=x+1", r"\forall x \in \mathbb{R} \quad f(x)=x+1"),
    (r"\forall x\in\mathbb{R}, f(x)=x+1", "f(x)=x+1"),
    ("f(x,y)=x+y", r"\forall x,y\in\mathbb{R}, f(x,y)=x+y"),
    (r"k\pi", r"k\pi, k\in\mathbb{Z}"),
    (r"k\pi", r"k\pi \quad (k\in\mathbb{Z})"),
    (r"k\pi", r"k\pi \text{ where } k \text{ is an integer}"),
    (r"k\pi", r"k\pi \text{ for any integer } k"),
    ("f(x)=cx", r"f(x)=cx \text{ for some constant } c"),
    ("n^2", r"n^2 \text{ for every } n \ge 1"),
    (r"x=k\pi", r"x = k\pi,\; k \in \mathbb{Z}"),
    ("a_n=2^n", r"a_n = 2^n \text{ for all } n\geq 0"),
    ("f(x)=x+1", r"\forall x\in\mathbb{R}\colon f(x)=x+1"),
    ("f(x)=x+1", r"\forall x\in\mathbb{R} \mid f(x)=x+1"),
    ("f(x)=x+1", r"\forall x\in\mathbb{R}\ \ f(x)=x+1"),
    ("f(x)=x+1", r"\forall x\in\mathbb{R}\ f(x)=x+1"),
    ("f(x)=x+1", r"\forall\ x\ \in\ \mathbb{R},\ f(x)=x+1"),
    ("f(x)=x+1", r"f(x)=x+1 : x\in\mathbb{R}"),
    ("f(x)=x+1", r"f(x)=x+1 \mid x\in\mathbb{R}"),
    (r"\{x^2 \mid x\in\mathbb{Z}\}", r"\{x^2 : x\in\mathbb{Z}\}"),
    ("f(x)=x+1", "∀x∈ℝ, f(x)=x+1"),
    ("2", "For all n, 2"),
    ("f(x)=x+1", r"\text{For every real number } x,\ f(x)=x+1"),
    (r"x \in \mathbb{Z}", r"x\in\mathbb{Z}"),
    (r"f(n)=n \text{ for all } n \in \mathbb{N}", "f(n)=n"),
]
# (gold, completion)
SAME_SAID = [
    ("f(x)=x+1", "Answer: for all x, f(x)=x+1"),
]
# (gold, answer)
OTHER = [
    ("f(x)=x+1", r"\forall x\in\mathbb{R}, f(x)=x+2"),
    ("f(x)=x+1", r"\forall x\in\mathbb{R}"),
    ("f(x)=x+1", r"\text{for all } x"),
    (r"\forall x\in\mathbb{R}, f(x)=x+1", "f(x)=x"),
    (r"k\pi, k\in\mathbb{Z}", r"k\pi, k\in\mathbb{N}"),
    (r"k\pi", r"2k\pi, k\in\mathbb{Z}"),
    (r"\forall x, f(x)=0", r"\forall x, f(x)=1"),
    ("f(x)=x+1", r"\forall x\in\mathbb{R}\colon f(x)=x+2"),
    (r"k\pi, k\in\mathbb{Z}", r"k\pi : k\in\mathbb{N}"),
    (r"k\pi", r"k\in\mathbb{Z}"),
    ("x", r"\forall x"),
    ("5", r"\text{if } x>0, 5"),
]


test_what_is_the_same = scores(1.0, SAME)
test_what_is_the_same_in_a_completion = scores(1.0, SAME_SAID, AS_IT_IS)
test_what_is_another = scores(0.0, OTHER)


def test_hundreds_of_spaces_are_read_at_once():
    begun = time.monotonic()
    unquantified("\\ " * 490)
    assert time.monotonic() - begun < 1
