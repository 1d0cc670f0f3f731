r"""Answers in words: the same words, and those that name a set: "no solution" is \emptyset, "all real numbers" is R."""

from __future__ import annotations

import re

FACE = re.compile(r"\\(?:text|textrm|textnormal|mathrm|textbf|mathbf|textit|mathit|mbox|textsc|emph)\s*\{([^{}]*)\}")
SAID = (
    {"no solution", "no solutions", "no real solution", "no real solutions", "no real roots", "there is no solution"}
    | {
        "there are no solutions",
        "no such solution",
        "no solution exists",
        "no solutions exist",
        "empty set",
        "the empty set",
    }
    | {"\\emptyset", "\\varnothing", "\\{\\}", "\\{ \\}", "无解", "空集"},
    {"does not exist", "dne", "d.n.e", "d.n.e.", "undefined", "doesn't exist", "the limit does not exist", "不存在"},
    {
        "all real numbers",
        "all reals",
        "all real",
        "all real x",
        "every real number",
        "any real number",
        "the real numbers",
    }
    | {
        "real numbers",
        "all real values",
        "all real values of x",
        "\\mathbb{r}",
        "(-\\infty,\\infty)",
        "(-\\infty,+\\infty)",
    }
    | {"x\\in\\mathbb{r}", "-\\infty<x<\\infty", "全体实数"},
    {"none", "none of them", "none of these", "nothing"},
    {"infinitely many", "infinitely many solutions", "there are infinitely many solutions", "infinite solutions"},
    {"diverges", "divergent", "it diverges", "the series diverges", "the integral diverges"},
    {"converges", "convergent", "it converges", "the series converges"},
    {"yes", "是", "да", "sí", "oui", "ja"},
    {"no", "否", "нет", "non", "nein"},
)


CLOCK = re.compile(r"(\d{1,2})(?::(\d{2}))?\s*([ap])\.?\s?m\.?|(\d{1,2}):(\d{2})", re.IGNORECASE)


def same_time(gold: str, answer: str) -> bool | None:
    """Whether two times of the day are the same; None where one of them is none, or neither says which half."""
    found = [CLOCK.fullmatch(words_of(text)) for text in (gold, answer)]
    if found[0] is None or found[1] is None or not (found[0][3] or found[1][3]):
        return None
    (hours, minutes, half), (others, other_minutes, other_half) = (
        (int(match[1] or match[4]), int(match[2] or match[5] or 0), (match[3] or "").lower())
        for match in found
        if match
    )
    return (hours, minutes) == (others, other_minutes) and (half == other_half or not half)


def words_of(text: str) -> str:
    """A text's words without their type face, in small letters."""
    return " ".join(FACE.sub(r"\1", text).split()).casefold().strip(" .")


def same_words(gold: str, answer: str) -> bool:
    r"""Whether two answers in words are the same, or say the same: \text{Even} and even, DNE and "does not exist"."""
    first, second = words_of(gold), words_of(answer)
    if first == second and re.search(r"[^\W\d_]{3}|\d\s*[ap]m|[^\W\d_a-z]", first) and "\\" not in first:
        return True
    first, second = (
        re.sub(r"\\(?:left|right|,|;|!)|(?<=[\\(,<])\s+|\s+(?=[,)<])", "", text) for text in (first, second)
    )
    return any(first in group and second in group for group in SAID)
