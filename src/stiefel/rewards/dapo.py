r"""DAPO's normalised exact match: the text after the last "Answer:", normalised, must be the gold, normalised.

Sources: the normalisation, Lewkowycz et al. 2022 (arXiv:2206.14858), Listing 1 of the appendix; that DAPO rewards it
with ±1, Yu et al. 2025 (arXiv:2503.14476), Eq. 7; the last 300 characters, the DAPO recipe of verl.
"""

from __future__ import annotations

import re
from typing import Any

from .extract import last_boxed
from .grade import Grade
from .mathematics.hedges import one_of_two

WINDOW = 300  # characters of a completion, from its end, that are read
BOX_WINDOW = 100
ANSWER = re.compile(r"answer\s*:\s*([^\n]+)", re.IGNORECASE)
REPLACED = (  # in this order, before anything is removed
    *(("an ", ""), ("a ", ""), (".$", "$"), (r"\$", ""), ("\\ ", ""), (" ", ""), ("mbox", "text")),
    *((r",\text{and}", ","), (r"\text{and}", ","), (r"\text{m}", r"\text{}")),
)
REMOVED = (  # in this order: words, as spaces are gone by now, then LaTeX
    *("square", "ways", "integers", "dollars", "mph", "inches", "hours", "km", "units", r"\ldots", "sue", "points"),
    *("feet", "minutes", "digits", "cents", "degrees", "cm", "gm", "pounds", "meters", "meals", "edges", "students"),
    *("childrentickets", "multiples", r"\text{s}", r"\text{.}", "\\text{\ns}", r"\text{}^2", r"\text{}^3"),
    *("\\text{\n}", r"\text{}", r"\mathrm{th}", r"^\circ", r"^{\circ}", r"\;", r",\!", "{,}", '"', r"\dots"),
)
UNWRAPPED = (
    (re.compile(r".*?\$(.*?)\$.*"), r"$\1$"),
    (re.compile(r"\\text\{(.*?)\}"), r"\1"),
    (re.compile(r"\\textbf\{(.*?)\}"), r"\1"),
    (re.compile(r"\\overline\{(.*?)\}"), r"\1"),
    (re.compile(r"\\boxed\{(.*)\}"), r"\1"),
    (re.compile(r"frac([^{])(.)"), r"frac{\1}{\2}"),
    (re.compile(r"sqrt([^{])"), r"sqrt{\1}"),
)


def normalise(answer: str) -> str:
    """The published normal form of a final answer: its last side, without units, spaces, wrapping and `$`."""
    text = answer.rpartition("=")[2]
    for before, after in REPLACED:
        text = text.replace(before, after)
    for expression in REMOVED:
        text = text.replace(expression, "")
    for pattern, kept in UNWRAPPED:
        text = pattern.sub(kept, text)
    text = text.replace("$", "")
    if text.replace(",", "").isdigit():
        text = text.replace(",", "")
    return text.strip()


def grade_dapo(completion: str, answer: Any, **row: Any) -> Grade:
    """1 if the last "Answer:" line within the last 300 characters is the gold, both normalised.

    Text against text: equal mathematics written otherwise scores 0. Not to be confused with `grade_math`.
    """
    gold = normalise(str(answer))
    if not gold:
        return Grade(None, None, "unreadable gold: it is empty")
    lines: list[str] = ANSWER.findall(completion[-WINDOW:])
    if not lines:
        return Grade(0.0, None, f'no "Answer:" within the last {WINDOW} characters')
    found = normalise(lines[-1])
    if found == gold and one_of_two(lines[-1]) and not one_of_two(str(answer)):
        return Grade(0.0, found, "no single answer")  # "$3$ or maybe $4$", of which the normal form keeps the first
    return Grade(1.0, found, "the same text") if found == gold else Grade(0.0, found, "another text")


def grade_dapo_boxed(completion: str, answer: Any, **row: Any) -> Grade:
    r"""The strict form of that recipe: the last `\boxed{}` within the last 100 characters, character by character."""
    gold = str(answer)
    if not gold.strip():
        return Grade(None, None, "unreadable gold: it is empty")
    found = last_boxed(completion[-BOX_WINDOW:])
    if found is None:
        return Grade(0.0, None, f"no box within the last {BOX_WINDOW} characters")
    return Grade(1.0, found, "the same text") if found == gold else Grade(0.0, found, "another text")


def signed(grade: Grade) -> float | None:
    """DAPO's reward of a grade: 2·score − 1, so +1 for right and −1 for wrong; None stays None."""
    return None if grade.score is None else 2 * grade.score - 1
