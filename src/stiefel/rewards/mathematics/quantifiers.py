r"""What an answer holds for: \forall x\in\mathbb{R}, …; … for all integers k; …, k\in\mathbb{Z}."""

from __future__ import annotations

import re

WORDS = r"(?:for\s+(?:all|every|any|each|some|integers?|real|positive|natural|nonzero|constants?)\b|where\b|whenever\b)"
FACE = r"\\(?:text|mathrm|textrm|mbox)\s*\{"
SPACE = r"(?:\\q?quad|\\[,;:! ]|\s){0,9}"  # without a limit, hundreds in a row are split in every way
TRAILING = re.compile(
    rf"(?:\\q?quad|\\[,;:! ]|[,;\s(])*(?:{FACE}\s*[,(]?\s*{WORDS}|\b{WORDS}|\\forall(?![a-z])).*$",
    re.DOTALL | re.IGNORECASE,
)
SET = r"\\mathbb\s*\{?\s*[NZQRC]\s*\}?(?:\s*[\^_]\s*(?:\{[^{}]*\}|[+*\-\d]))*"
LETTERS = r"[a-zA-Z](?:\s*,\s*[a-zA-Z])*"
BEFORE = r"(?:,|:|\\(?:mid|colon)(?![a-z])|\\text\{\s*,?\s*(?:with|where|and)?\s*\}|\\q?quad|\\[,;: ]|\()"
MEMBER = re.compile(rf"{SPACE}{BEFORE}{SPACE}[(]?\s*{LETTERS}\s*\\in\s*{SET}\s*\)?$")
LEADING = re.compile(
    rf"^{SPACE}(?:{FACE}\s*{WORDS}[^{{}}]*\}}|{WORDS}|\\forall(?![a-z])|(?:{FACE}\s*)?let\b)", re.IGNORECASE
)
BREAK = re.compile(
    r",|:(?!=)|;|\\(?:colon|mid)(?![a-z])|(?:\\ \s*){2,}|(?<=\})\s*\\ |"
    r"\\q?quad(?![a-z])|\\[;:]|\\text\{\s*(?:,|we\s+have|it\s+holds\s+that|:)\s*\}|\bwe\s+have\b"
)
BOUND = re.compile(
    rf"^{SPACE}[a-zA-Z](?:_\{{?\w\}}?)?\s*(?:\\in(?![a-z])|[<>]|\\(?:[lg]eq?|[lg]eqslant|neq?)(?![a-z]))"
)
SETS = {"integer": "Z", "real": "R", "natural": "N", "rational": "Q", "complex": "C", "positive": ">", "negative": "<"}
NAMED_SET = re.compile(
    r"\\mathbb\s*\{?\s*([NZQRC])|\b(integer|real|natural|rational|complex|positive|negative)", re.IGNORECASE
)


def unquantified(text: str) -> str:
    """The statement without what it holds for; all of the text where nothing else would be left."""
    bare = text
    if LEADING.match(bare):
        bare = after_leading(bare)
    for pattern in (TRAILING, MEMBER):
        shorter = pattern.sub("", bare).strip()
        if (shorter and not re.fullmatch(r"[A-Za-z]", shorter)) or (shorter and pattern is MEMBER):
            bare = shorter
    return bare


def after_leading(text: str) -> str:
    """What follows the quantifier at the beginning, and its bounds."""
    rest = text
    while (found := first_break(rest)) is not None and found.strip():
        rest = found
        head = first_break(rest)
        if head is None or not (BOUND.match(rest) or re.match(r"^\s*[a-zA-Z]\s*(?:,|\\in)", rest)):
            return rest.strip()
    return rest.strip()


def first_break(text: str) -> str | None:
    """What follows the first comma or colon outside of all brackets."""
    for match in BREAK.finditer(text):
        before = text[: match.start()]
        if all(before.count(opening) <= before.count(closing) for opening, closing in ("()", "[]")) and (
            before.count("{") == before.count("}")
        ):
            return text[match.end() :]
    return None


def conditions(text: str) -> frozenset[str]:
    """The sets that are named in what an answer holds for."""
    bare = unquantified(text)
    if bare == text.strip():
        return frozenset()
    told = text.replace(bare, "", 1)
    return frozenset(letter or SETS[word.lower()] for letter, word in NAMED_SET.findall(told))


def contradict(first: frozenset[str], second: frozenset[str]) -> bool:
    """Whether two answers hold for different sets; what one does not say, it does not contradict."""
    return bool(first and second) and not (first <= second or second <= first)
