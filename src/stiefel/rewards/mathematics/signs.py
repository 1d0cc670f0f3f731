r"""Unicode's signs → ASCII and LaTeX: full-width characters, digits of other scripts, roots, powers, fractions."""

from __future__ import annotations

import re
import unicodedata

PUNCTUATION = str.maketrans({"。": ".", "｡": ".", "、": ", ", "，": ", ", "．": ".", "\u3000": " ", "\u00a0": " "})
SIGNS = str.maketrans(
    {"−": "-", "–": "-", "×": "\\times ", "·": "\\cdot ", "⋅": "\\cdot ", "÷": "/", "≈": "\\approx "}
    | {"π": "\\pi ", "∞": "\\infty ", "°": "^\\circ ", "º": "^\\circ ", "θ": "\\theta ", "′": "'", "″": "''", "’": "'"}
    | {"≤": "\\le ", "≥": "\\ge ", "⩽": "\\le ", "⩾": "\\ge ", "≠": "\\ne ", "±": "\\pm ", "∓": "\\mp "}
    | {"∪": "\\cup ", "∩": "\\cap ", "∈": "\\in ", "∀": "\\forall ", "∧": "\\land ", "∨": "\\lor ", "∠": "\\angle "}
    | {"ℝ": "\\mathbb{R}", "ℤ": "\\mathbb{Z}", "ℕ": "\\mathbb{N}", "ℚ": "\\mathbb{Q}", "ℂ": "\\mathbb{C}"}
    | {"△": "\\triangle ", "∖": "\\setminus ", "∅": "\\emptyset ", "⟨": "(", "⟩": ")", "⁄": "/", "∕": "/"}
    | {
        "\u202f": " ",
        "\u2009": " ",
        "\u200b": "",
        "\u2061": "",
        "\u2062": "",
        "\ufeff": "",
        "~": " ",
        "ℏ": "\\hbar ",
        "ħ": "\\hbar ",
    }
    | {"“": '"', "”": '"', "∣": "|", "∗": "*"}
)
WIDE_THOUSANDS = re.compile(r"(?<=[０-９])，(?=[０-９]{3}(?![０-９]))")
POWERS = "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿⁱ"
INDICES = "₀₁₂₃₄₅₆₇₈₉₊₋ₙᵢⱼₖₘ"
POWER, INDEX = re.compile(f"[{POWERS}]+"), re.compile(f"[{INDICES}]+")
ROOTS = {"√": "\\sqrt", "∛": "\\sqrt[3]", "∜": "\\sqrt[4]"}
ROOT = re.compile(r"([√∛∜])\s*(\d+(?:\.\d+)?|\\[A-Za-z]+|[A-Za-z]|\(|\{)?")


def folded(text: str) -> str:
    """A completion with full-width characters, digits of other scripts and their punctuation as ASCII."""
    if text.isascii():
        return text
    text = WIDE_THOUSANDS.sub(",", text).translate(PUNCTUATION)
    return "".join(plain(character) if ord(character) > 0x7F else character for character in text)


def plain(character: str) -> str:
    """The ASCII character that a full-width or mathematical one, or another script's digit, stands for."""
    if "\uff01" <= character <= "\uff5e" or "\U0001d400" <= character <= "\U0001d7ff":
        return unicodedata.normalize("NFKC", character)
    if unicodedata.category(character) == "Nd":
        return str(unicodedata.decimal(character))
    return {"￥": "¥", "﹪": "%", "٪": "%", "﹣": "-", "－": "-", "﹢": "+", "：": ":", "︰": ":"}.get(
        character, character
    )


def in_latex(text: str) -> str:
    """An answer's signs as LaTeX; letters of other scripts stay."""
    if text.isascii():
        return text.replace("~", " ")
    text = POWER.sub(lambda match: f"^{{{unicodedata.normalize('NFKC', match[0]).replace('−', '-')}}}", folded(text))
    text = INDEX.sub(lambda match: f"_{{{unicodedata.normalize('NFKC', match[0]).replace('−', '-')}}}", text)
    text = "".join(fraction(character) for character in text)
    return ROOT.sub(root, text.translate(SIGNS))


def fraction(character: str) -> str:
    """½ as LaTeX."""
    if "\u00bc" <= character <= "\u00be" or "\u2150" <= character <= "\u215e":
        top, _, bottom = unicodedata.normalize("NFKC", character).partition("\u2044")
        return f"\\frac{{{top}}}{{{bottom}}}"
    return character


def root(match: re.Match[str]) -> str:
    """√3 as LaTeX; what opens a parenthesis is closed by `plain_text`."""
    what = match[2] or ""
    return ROOTS[match[1]] + (what if what in ("(", "{") else f"{{{what}}}" if what else "")


def apart(text: str) -> str:
    """A text in which spaces set off numbers from letters of other scripts: 一共有18个 → 一共有 18 个."""
    if not text.isascii():
        text = "".join(
            f" {character} " if ord(character) > 0x3FF and character.isalpha() else character for character in text
        )
    return re.sub(r"(?<=[^\W\d_]):(?=[-\d$\\])", ": ", text)
