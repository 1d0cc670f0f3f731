"""Marks that change what they stand at are kept."""

from __future__ import annotations

from tests.rewards.tables import scores

# (gold, answer)
SAME = [
    (r"12^\circ", "12"),
    (r"12\%", "12"),
    ("101_2", "101"),
    (r"30^\circ", r"30^{\circ}"),
    (r"30^\circ 15'", "30.25"),
    (r"30^\circ 15'", r"30.25^\circ"),
    (r"30^\circ 15'", r"30^{\circ}15'"),
    (r"30^\circ 15'", "30°15′"),
    ("f'(x)=2x", r"f^{\prime}(x)=2x"),
    ("f'", "f'"),
    ("f'(x)", r"f^\prime(x)"),
    ("A^T", r"A^{\mathrm{T}}"),
    ("A^T", r"A^\top"),
    ("A^TB", "A^{T}B"),
    (r"\angle ABC", r"\angle CBA"),
    (r"\triangle ABC", r"\triangle BCA"),
    ("y'=2x", "y'=2x"),
    ("x'+y'", "y'+x'"),
    ("f''(x)=6x", r"f^{\prime\prime}(x)=6x"),
    (r"\overline{AB}", r"\overline{AB}"),
    ("120", r"120^\circ"),
    (r"\angle A", r"\angle A"),
    ("A'B'C'", "A'B'C'"),
    (r"\mathbf{A}^T", "A^T"),
    ("y = 2x", "2x"),
    ("15", "15'"),
    (r"\angle ABC", "angle ABC"),
    ("e^{T}", "e^T"),
]
# (gold, answer)
OTHER = [
    (r"12^\circ", r"12\%"),
    (r"12\%", r"12^\circ"),
    (r"30^\circ", "30'"),
    ("101", "101_2"),
    ("10", "10_{8}"),
    (r"30^\circ 15'", "45"),
    (r"30^\circ 15'", "30"),
    ("45", r"30^\circ 15'"),
    ("f'", "f"),
    ("f", "f'"),
    ("f'(x)=2x", "f(x)=2x"),
    ("f''(x)=2x", "f'(x)=2x"),
    ("A^T", "A"),
    ("A", "A^T"),
    (r"A^{\top}", "A"),
    (r"\angle ABC", r"\angle ACB"),
    (r"\angle ABC", "ABC"),
    (r"\angle A", "A"),
    (r"\triangle ABC", "ABC"),
    (r"\triangle ABC", r"\triangle ABD"),
    ("x'+y'", "x+y"),
    ("x_1'", "x_1"),
    ("e^T", "e"),
    (r"\bar{x}", "x"),
    (r"\dot{x}", "x"),
    ("A^*", "A"),
    (r"A^\dagger", "A"),
    (r"\neg p", "p"),
    ("n!!", "n!"),
    ("5!!", "5!"),
    (r"30^\circ 15'", r"30^\circ 20'"),
    ("f'(x)", r"f^{\prime\prime}(x)"),
    (r"\nabla f", "f"),
    (r"\vec{a}", "a"),
    (r"\overline{AB}", r"\overline{AC}"),
    ("A'", "A"),
    ("g'(2)", "g(2)"),
    (r"\hat{p}", "p"),
    (r"45^\circ 30'", "75"),
    (r"\angle BAC=30", r"\angle ABC=30"),
]


test_what_is_the_same = scores(1.0, SAME)
test_what_is_another = scores(0.0, OTHER)
