r"""Mathematics written as plain text or as a program → LaTeX: pi/2, x**2+1, 2√3, \sqrt(25), np.exp(-1).

Rewritten by patterns and a count of parentheses: nothing of a model's text is ever run.
"""

from __future__ import annotations

import re

from .typed import bracketed

MODULE = re.compile(
    r"(?<![\w\\.])(?:np|numpy|math|cmath|sp|sympy|scipy|mpmath|mp|torch|jnp|linalg|special)\.(?=[A-Za-z])"
)
IN_WORDS = re.compile(r"\\(?:text|mathrm|textbf|textit|mbox|operatorname|begin|end)\s*\{[^{}]*\}")
# name of a call → LaTeX with {} for its argument
CALLS = {
    **dict.fromkeys(("sqrt", "Sqrt"), "\\sqrt{{{0}}}"),
    **{"cbrt": "\\sqrt[3]{{{0}}}", "root": "\\sqrt[{1}]{{{0}}}", "exp": "e^{{{0}}}"},
    **dict.fromkeys(("abs", "Abs", "fabs"), "\\left|{0}\\right|"),
    **{"floor": "\\lfloor {0} \\rfloor", "ceil": "\\lceil {0} \\rceil", "ceiling": "\\lceil {0} \\rceil"},
    **{f"{arc}{name}": f"\\arc{name}({{0}})" for arc in ("arc", "a") for name in ("sin", "cos", "tan")},
    **{name: f"\\{name}({{0}})" for name in ("sin", "cos", "tan", "cot", "sec", "csc", "sinh", "cosh", "tanh", "ln")},
    **{"log2": "\\log_{{2}}({0})", "log10": "\\log_{{10}}({0})", "lg": "\\log_{{10}}({0})", "log": "\\log({0})"},
    **dict.fromkeys(("Rational", "Fraction", "frac"), "\\frac{{{0}}}{{{1}}}"),
    **dict.fromkeys(("binomial", "comb", "binom"), "\\binom{{{0}}}{{{1}}}"),
    **dict.fromkeys(("pow", "Pow", "power"), "({0})^{{{1}}}"),
    **{"factorial": "({0})!", "gcd": "\\gcd({0}, {1})"},
}
NATURAL = {"log": "\\ln({0})"}  # a program's logarithm
CALL = re.compile(rf"(\\?)(?<![A-Za-z_.])({'|'.join(sorted(CALLS, key=len, reverse=True))})\s*\(")
BACKSLASHED = {"sqrt", "frac", "binom", "cbrt"}  # \sqrt(25) is no LaTeX, \sin(x) is
CONSTANTS = {"pi": "\\pi ", "Pi": "\\pi ", "PI": "\\pi ", "inf": "\\infty ", "oo": "\\infty ", "infinity": "\\infty "}
CONSTANTS |= {"Infinity": "\\infty ", "infty": "\\infty "}
CONSTANT = re.compile(rf"(?<![A-Za-z\\_])(?<!_\{{)({'|'.join(CONSTANTS)})(?![A-Za-z_(])")
GREEK = "alpha|beta|gamma|delta|epsilon|varepsilon|zeta|theta|kappa|lambda|sigma|omega|phi|varphi|rho|Omega|Delta|Phi"
GREEK_NAME = re.compile(rf"(?<![A-Za-z\\])({GREEK})(?![A-Za-z])")
BARE_FUNCTION = re.compile(r"(?<![A-Za-z\\_{])((?:arc)?(?:sin|cos|tan)h?|cot|sec|csc|ln|log)(?![A-Za-z])")
COMMAND = re.compile(r"(?<![A-Za-z\\])(d?frac|sqrt|cdot|times|binom|boxed)(?=\s*\{|\s+\d|\s*\[\d)")
POWER = re.compile(r"\s*(?:\*\*|\^)\s*(?=[-+]?[\w.(])")
EXPONENT = re.compile(r"[-+]?(?:\d+\.\d+|\.\d+|\d{2,}|\d(?![\d.])|[A-Za-z](?![A-Za-z(])|(?=\())")
HALF_POINT = re.compile(r"(?<![\d.])(\d+)\.(?!\d|\.)(?=\s*(?:$|[-+*/}),]|\\(?:times|cdot|pi|sqrt|[dt]?frac|%|,|;)))")
IMAGINARY = re.compile(r"(?<=\d)\s*\*?\s*[jJ](?![A-Za-z])")
PRODUCT = re.compile(r"\s*(?<!\\)\*\s*")
MATRIX = re.compile(r"(?:Matrix|array|matrix)\s*\(\s*\[(.*)\]\s*\)", re.DOTALL)
DEEPEST = 40  # calls in an answer


def as_latex(text: str) -> str:
    """The text with what is no LaTeX in it rewritten; words in a command for text stay."""
    pieces, end = [], 0
    for words in IN_WORDS.finditer(text):
        pieces += [rewritten(text[end : words.start()]), words[0]]
        end = words.end()
    return "".join([*pieces, rewritten(text[end:])])


def rewritten(text: str) -> str:
    """A stretch without words."""
    if not text:
        return text
    program = bool(MODULE.search(text)) or "**" in text
    text = MODULE.sub("", text)
    if (match := MATRIX.fullmatch(text.strip())) and (rows := as_matrix(match[1])):
        return rows
    for _ in range(DEEPEST):
        found = last_call(text)
        if found is None:
            break
        start, name, end, arguments = found
        form = NATURAL.get(name, CALLS[name]) if program else CALLS[name]
        text = f"{text[:start]} {form.format(*arguments)}{text[end:]}"
    text = COMMAND.sub(r"\\\1", bracketed(text))
    text = CONSTANT.sub(lambda match: CONSTANTS[match[1]], text)
    text = BARE_FUNCTION.sub(r"\\\1 ", text)
    text = GREEK_NAME.sub(r"\\\1 ", text)
    if re.search(r"\d\s*\*?\s*[jJ](?![A-Za-z])", text) and not re.search(
        r"(?<![\\A-Za-z])[A-IK-Za-ik-z](?![A-Za-z])", text
    ):
        text = IMAGINARY.sub("i", text)
    text = HALF_POINT.sub(r"\1", text)
    return products(powers(text))


def last_call(text: str) -> tuple[int, str, int, list[str]] | None:
    """The innermost rightmost call with as many arguments as its form has: its start, name, end and arguments."""
    for match in reversed(list(CALL.finditer(text))):
        name = match[2]
        if match[1] and name not in BACKSLASHED:
            continue
        end = closing(text, match.end() - 1)
        if end is None:
            continue
        arguments = split(text[match.end() : end - 1])
        wanted = 2 if "{1}" in CALLS[name] else 1
        if len(arguments) == wanted and all(arguments):
            return match.start(), name, end, arguments
    return None


def closing(text: str, start: int) -> int | None:
    """The place after the parenthesis that closes the one at `start`."""
    depth = 0
    for place in range(start, len(text)):
        depth += (text[place] == "(") - (text[place] == ")")
        if depth == 0:
            return place + 1
    return None


def split(text: str, separator: str = ",") -> list[str]:
    """The parts that separators outside all brackets set apart, without spaces around them."""
    parts, depth, start = [], 0, 0
    for place, character in enumerate(text):
        depth += (character in "([{") - (character in ")]}")
        if character == separator and depth == 0:
            parts.append(text[start:place].strip())
            start = place + 1
    return [*parts, text[start:].strip()]


def powers(text: str) -> str:
    """x**2, 2^10, 2^0.5 and 2^(n+1) with their exponents in braces."""
    pieces, place = [], 0
    for match in POWER.finditer(text):
        if match.start() < place:
            continue
        exponent = EXPONENT.match(text, match.end())
        if exponent is None:
            continue
        end: int | None = exponent.end()
        inner = exponent[0]
        if text[exponent.end() : exponent.end() + 1] == "(" and not inner.strip("+-"):
            end = closing(text, exponent.end())
            if end is None:
                continue
            inner += powers(text[exponent.end() + 1 : end - 1]) if not inner else text[exponent.end() : end]
        pieces += [text[place : match.start()], f"^{{{inner}}}"]
        place = end if end is not None else place
    return "".join([*pieces, text[place:]]).replace("**", "^")


def products(text: str) -> str:
    r"""A star between factors as \cdot."""
    return PRODUCT.sub(r" \\cdot ", text) if "*" in text and "^{*}" not in text and "^*" not in text else text


def as_matrix(text: str) -> str | None:
    """The rows of a program's matrix, or its one column."""
    rows = split(text)
    cells = [split(row.strip()[1:-1]) if row.startswith("[") and row.endswith("]") else [row] for row in rows]
    if not all(cells) or len({len(row) for row in cells}) != 1:
        return None
    body = " \\\\ ".join(" & ".join(as_latex(cell) for cell in row) for row in cells)
    return f"\\begin{{pmatrix}} {body} \\end{{pmatrix}}"
