r"""Upright and bold letters: what `\mathrm{…}`, `\mathbf{…}`, `\text{…}` and `\operatorname{…}` hold is a letter, a
function or words, and each is written so that math-verify reads it as that.
"""

from __future__ import annotations

import re

UPRIGHT = r"\\(?:mathrm|mathsf|mathnormal|rm|text|textrm|textnormal|mbox|mathit|textit|operatorname\*?)"
BOLD = r"\\(?:mathbf|boldsymbol|bm|pmb|textbf|mathbfit|bf|vect)"
FUNCTIONS = (
    *("arcsin", "arccos", "arctan", "arccot", "arcsec", "arccsc", "sinh", "cosh", "tanh", "coth"),
    *("sin", "cos", "tan", "cot", "sec", "csc", "ln", "log", "exp", "det", "gcd", "max", "min", "lim"),
)
FUNCTION = re.compile(rf"{UPRIGHT}\s*\{{\s*({'|'.join(FUNCTIONS)})\s*\}}|\\mathop\{{\\rm\s+({'|'.join(FUNCTIONS)})\}}")
OTHER_NAMES = (
    (re.compile(rf"{UPRIGHT}\s*\{{\s*(?:arsinh|arcsinh)\s*\}}"), r"\\operatorname{arcsinh}"),
    (re.compile(rf"{UPRIGHT}\s*\{{\s*(?:arcosh|arccosh)\s*\}}"), r"\\operatorname{arccosh}"),
    (re.compile(rf"{UPRIGHT}\s*\{{\s*(?:artanh|arctanh)\s*\}}"), r"\\operatorname{arctanh}"),
    (re.compile(rf"{UPRIGHT}\s*\{{\s*lcm\s*\}}"), r"\\operatorname{lcm}"),
    (re.compile(r"\\mathop\{([^{}]*)\}"), r"\1"),
    (re.compile(r"\\tg(?![a-z])"), r"\\tan "),
    (re.compile(r"\\(?:ctg|cotg)(?![a-z])"), r"\\cot "),
    (re.compile(r"\\arctg(?![a-z])"), r"\\arctan "),
)
HAT = re.compile(
    rf"\\(?:hat|widehat|vec|overrightarrow)\s*(?:\{{\s*(?:{BOLD}|\\mathrm)\s*\{{\s*([ijk])\s*\}}\s*\}}"
    r"|\{\s*\\([ij])math\s*\}|\{\s*([ijk])\s*\}|\s+([ijk])(?![A-Za-z])|\\([ij])math(?![a-z]))"
)
BOLD_LETTER = re.compile(rf"{BOLD}\s*(?:\{{\s*([A-Za-z]|\\[A-Za-z]+)\s*\}}|\s([A-Za-z])(?![A-Za-z]))")
UPRIGHT_LETTER = re.compile(rf"{UPRIGHT}\s*\{{\s*([A-Za-z])\s*\}}|\{{\s*\\(?:rm|bf)\s+([A-Za-z])\s*\}}")
UPRIGHT_NUMBER = re.compile(rf"(?:{UPRIGHT}|{BOLD})\s*\{{\s*([-+]?\d[\d.,]*)\s*\}}")


def as_letters(text: str) -> str:
    """Functions, single letters and numbers without their type face; units have to be taken off before."""
    if "\\" not in text:
        return text
    for pattern, kept in OTHER_NAMES:
        text = pattern.sub(kept, text)
    text = FUNCTION.sub(lambda match: f"\\{match[1] or match[2]} ", text)
    text = HAT.sub(named, text)
    text = BOLD_LETTER.sub(lambda match: f" {match[1] or match[2]} ", text)
    text = UPRIGHT_NUMBER.sub(lambda match: match[1], text)
    return UPRIGHT_LETTER.sub(lambda match: f" {match[1] or match[2]} ", text)


def named(match: re.Match[str]) -> str:
    """The letter of the one group that matched."""
    return f" {next(group for group in match.groups() if group)} "


BASIS = re.compile(rf"{HAT.pattern}|{BOLD}\s*\{{?\s*([ijk])(?![A-Za-z])\s*\}}?")
TERM = re.compile(r"([-+]?)\s*([^-+]*?)\s*@([ijk])")


def components(text: str) -> str | None:
    r"""The vector of `3\mathbf{i}-2\mathbf{j}` as "(3, -2)"; None for anything else."""
    marked = BASIS.sub(lambda match: f"@{named(match).strip()}", text)
    if "@" not in marked:
        return None
    place, found = 0, {}
    marked = marked.strip()
    while place < len(marked):
        match = TERM.match(marked, place)
        if match is None or match[3] in found or (place and not match[1]):
            return None
        sign = "-" if match[1] == "-" else ""
        found[match[3]] = f"{sign}{match[2].strip() or '1'}"
        place = match.end()
        while place < len(marked) and marked[place] == " ":
            place += 1
    letters = "ijk" if "k" in found else "ij"
    return "(" + ", ".join(found.get(letter, "0") for letter in letters) + ")"
