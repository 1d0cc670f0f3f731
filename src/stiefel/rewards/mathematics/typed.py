r"""What is typed without brackets, as LaTeX: sqrt2, ln2/ln3, 3/4 pi, 10 choose 3, e^-2x, 50!^2, C(10,3)."""

from __future__ import annotations

import re

NAME = r"\d+(?:\.\d+)?|[A-Za-z](?![A-Za-z])"
LOGARITHM = r"(?:ln|log|lg)(?![A-Za-z_])"
WITHOUT_BRACKETS = tuple(
    (re.compile(pattern), kept)
    for pattern, kept in (
        (rf"(?<![A-Za-z\\])[Ss]qrt\s*({NAME}|pi(?![A-Za-z]))", r"\\sqrt{\1}"),
        (rf"\\?(?<![A-Za-z])({LOGARITHM})\s*({NAME})\s*/\s*(?=\\?{LOGARITHM})", r"\\\1(\2)/"),  # each its own
        (r"(?<![\d.,/^_}A-Za-z)])(\d+)\s*/\s*(\d+)\s+(?=\\?pi(?![A-Za-z]))", r"\\frac{\1}{\2} "),
        (r"(?<![A-Za-z\\])e\s*\^\s*(-\s*\d*(?:\.\d+)?[a-z](?![a-z(^_]))", r"e^{\1}"),
        (r"\^\s*(\\sqrt\s*(?:\{[^{}]*\}|[A-Za-z0-9]))", r"^{\1}"),
        (rf"\{{?\(?(?<![\w.])({NAME})\s*\\?choose\s*({NAME})\)?\}}?", r"\\binom{\1}{\2}"),
        (r"(?<![\w.!])(\d+|[a-z])!\s*(?=\^)", r"(\1!)"),
        (r"(\([^()]*\))!\s*(?=\^)", r"(\1!)"),
    )
)
CHOSEN = re.compile(r"(?<![A-Za-z\\_])(?:n?C|nCr)\s*\(\s*(\w+)\s*,\s*(\w+)\s*\)|(?<![\w.])(\d+)\s*C\s*(\d+)(?!\w)")
NATURAL = re.compile(r"(?<![A-Za-z\\_.])log(?=\s*\((?!10*\)))")


def bracketed(text: str) -> str:
    """The text with the brackets that its writer went without."""
    for pattern, kept in WITHOUT_BRACKETS:
        text = pattern.sub(kept, text)
    return text


def as_meant(text: str, gold: str, number: bool) -> str:
    r"""An answer whose signs the gold makes clear: C(10,3) is no point where the gold is a number or has \binom or !,
    and a program's log(2) is natural where the gold writes \ln. Of \log in LaTeX, and log of a power of ten, nothing
    is changed: it stays a logarithm to base ten.

    number: whether the gold is a plain number.
    """
    if "C" in text and (number or "\\binom" in gold or "!" in gold):
        text = CHOSEN.sub(lambda match: f"\\binom{{{match[1] or match[3]}}}{{{match[2] or match[4]}}}", text)
    if "log" in text and "\\ln" in gold and "\\log" not in gold:
        text = NATURAL.sub(r"\\ln", text)
    return text
