"""Choices by their texts."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

from .standing import Choices

MARKS = 100  # characters of markup around a text
TRIMMED = " \t\n.*_`\"'$"  # around a choice's text
FRACTION = re.compile(r"\\[dt]?frac\{([^{}]*)\}\{([^{}]*)\}")
SPACING = re.compile(r"\\[,;! ]|\\(?:left|right)(?![a-z])|[$~]|\\[()\[\]]")
STYLED = re.compile(r"\\(?:text|math)(?:bf|rm|sf|it|tt|normal)?\{([^{}]*)\}")


def by_text(text: str, choices: Choices) -> str | None:
    """The letter of the one choice whose text this is, whatever its case and final point."""
    if len(text) > 2 * choices.longest + MARKS:
        return None
    for form in (bare, unset):
        letters = forms(choices, form).get(form(text), "")
        if len(letters) == 1:
            return letters
    return None


@lru_cache(maxsize=1000)
def forms(choices: Choices, form: Callable[[str], str]) -> dict[str, str]:
    """The choices' texts in a form, and the letters of each."""
    found: dict[str, str] = {}
    for letter, choice in zip(choices.letters, choices.texts, strict=False):
        if said := form(choice):
            found[said] = found.get(said, "") + letter
    return found


def bare(text: str) -> str:
    """Without what stands around it, in small letters."""
    return text.strip(TRIMMED).casefold()


def unset(text: str) -> str:
    r"""Without what LaTeX sets it with: `\frac{1}{2}` is 1/2, `\text{red}` is red; x and X differ."""
    text = SPACING.sub("", FRACTION.sub(r"\1/\2", STYLED.sub(r"\1", text)))
    return re.sub(r"\s+", "", text.replace("\\%", "%")).strip(TRIMMED)
