"""A normalised answer in LaTeX → SymPy's values, as math-verify reads it, in letters that mean what was written."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import lru_cache
from typing import Any

from .letters import as_letters
from .marks import kept

INDEXED = re.compile(r"(?<![A-Za-z\\{])([EI])(?=_)")  # no Euler number, nor the imaginary unit

# an argument of a command: in braces, a letter by name, or one character
ARGUMENT = (
    r"\s*(\{[^{}]*\}|\\(?:alpha|beta|gamma|delta|epsilon|zeta|eta|theta|kappa|lambda|mu|nu|xi|pi|rho|sigma|tau|phi|chi|psi"
    r"|omega|hbar)(?![A-Za-z])|\\sqrt\s*(?:\{[^{}]*\}|[A-Za-z0-9])|[A-Za-z0-9])"
)
FRACTION = re.compile(r"(\\[dt]?frac)" + ARGUMENT + ARGUMENT)
ROOT = re.compile(r"(\\sqrt\s*\[[^\[\]]*\])" + ARGUMENT)


@lru_cache(maxsize=2_000)
def parse(text: str) -> tuple[Any, ...]:
    """math-verify's reading of one LaTeX expression: SymPy values, or only a text where it cannot be parsed.

    Units are no longer there, and what looks like one is a letter.
    """
    from math_verify import LatexExtractionConfig
    from math_verify import parse as parse_text

    # plain expressions would find a 5 in any text
    latex = LatexExtractionConfig(boxed_match_priority=0)
    latex_only = [replace(latex, normalization_config=replace(latex.normalization_config, units=False))]
    return tuple(real(value) for value in parse_text(f"\\boxed{{{readable(text)}}}", latex_only, parsing_timeout=None))


def real(value: Any) -> Any:
    """A value in real letters, whichever the parser took them for: "2 i" and "2i" are the same.

    dy/dx is such a letter too: to SymPy, y does not depend on x.
    """
    from sympy import Basic, Derivative, Symbol

    if not isinstance(value, Basic):
        return value
    named: dict[Any, Any] = {
        rate: Symbol(f"d{rate.expr}/d{rate.variables}", real=True)
        for rate in value.atoms(Derivative)
        if rate.expr.is_Symbol or rate.expr.is_Function
    }
    named |= {letter: Symbol(letter.name, real=True) for letter in value.free_symbols if not letter.is_real}
    return value.xreplace(named) if named else value


def readable(text: str) -> str:
    """The text with its marks and letters written so that the parser keeps them."""
    return INDEXED.sub(r"\\text{\1}", as_letters(kept(braced(text))))


def braced(text: str) -> str:
    r"""\frac\pi2 as \frac{\pi}{2} and \sqrt[3]5 as \sqrt[3]{5}: the parser wants the braces that TeX does without."""
    text = FRACTION.sub(lambda match: f"{match[1]}{wrapped(match[2])}{wrapped(match[3])}", text)
    return ROOT.sub(lambda match: f"{match[1]}{wrapped(match[2])}", text)


def wrapped(argument: str) -> str:
    """An argument in braces, where it has none."""
    return argument if argument.startswith("{") else f"{{{argument.strip()}}}"
