"""Answers compared as texts: the same but for spacing and spelling; and golds that are texts and nothing more."""

from __future__ import annotations

import re

SPELT = tuple(
    (re.compile(pattern), kept)
    for pattern, kept in (
        (r"\\(?:left|right|displaystyle|limits|,|;|:|!|quad|qquad)(?![A-Za-z])|\\ |~", " "),
        (r"\\(?:text|mathrm|textrm|mathit|mbox|operatorname\*?)\s*\{([^{}]*)\}", r" \1 "),
        (r"\\[dtc]frac(?![a-z])", r"\\frac"),
        (r"\\(l|g)eq(?:slant)?(?![a-z])", r"\\\1e"),
        (r"\\neq(?![a-z])", r"\\ne"),
        (r"\\(?:ldots|cdots|dotsc|dotsb)(?![a-z])|\.\.\.|…", r"\\dots"),
        (r"\\(?:mid|vert|lvert|rvert|colon)(?![a-z])|(?<=[\w}\s]):(?=[\w\\\s])", "|"),
        (r"\\pmod\s*\{?\s*(\w+)\s*\}?|\(\s*\\?mod\s*(\w+)\s*\)|\\(?:bmod|mod)\s*(\w+)", r"(mod \1\2\3)"),
        (r"([_^])\{(\w)\}", r"\1\2"),
        (r"\\varnothing(?![a-z])", r"\\emptyset"),
        (r"\\mathbb\s*\{?\s*([A-Z])\s*\}?", r"\\mathbb{\1}"),
    )
)
UNEVEN = re.compile(r"(?<=\d)\s+(?=\d)|(?<=[A-Za-z])\s+(?=[A-Za-z])|(?<=\d,)\s+(?=\d)")  # spaces that mean something
UNFINISHED = re.compile(
    r"(?:(?<![\^_])[-+]|[=<>(\[^_&]|(?<!\\)\{|\\(?:frac|sqrt|times|cdot|pm|in|le|ge|ne|text|left))$"
)
TEXTUAL = re.compile(r"[A-Za-z]|\\[A-Za-z]+|[^\W\d_]")


def spelt(text: str) -> str:
    """One spelling of a text."""
    for pattern, kept in SPELT:
        text = pattern.sub(kept, text)
    text = UNEVEN.sub("\x00", text.strip())
    return "".join(text.split()).strip("$.")


def same_text(first: str, second: str) -> bool:
    """Whether two answers are written the same, but for spacing and spelling."""
    return spelt(first) == spelt(second)


def written(text: str) -> bool:
    """Whether it is a whole text, of which nothing is missing at the end or between braces."""
    bare = text.replace("\\{", "").replace("\\}", "")
    depth = 0
    for character in bare:
        depth += (character == "{") - (character == "}")
        if depth < 0:
            return False
    return depth == 0 and bool(TEXTUAL.search(text)) and not UNFINISHED.search(text.strip())
