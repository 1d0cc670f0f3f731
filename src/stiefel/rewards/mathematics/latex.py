r"""An answer's text → LaTeX that `math-verify` reads: signs, wrapping, units in words, mixed numbers, powers of ten."""

from __future__ import annotations

import re
from fractions import Fraction

from .plain_text import as_latex
from .quantifiers import unquantified
from .signs import in_latex
from .units import without_units

LONGEST_ANSWER = 1_000  # characters; the longest in MATH-500 has 159
NUMBER = re.compile(r"[-+]?(?:\d{1,3}(?:,\d{3})+|\d+)?(?:\.\d+)?")
CURRENCY = "$€£¥₹"

WRITTEN_OTHERWISE = tuple(
    (re.compile(pattern), kept)
    for pattern, kept in (
        (r"\\varnothing(?![a-z])", r"\\emptyset "),
        (r"\\degree(?![a-z])", r"^\\circ "),
        (r"(?<![\\A-Za-z])(angle|triangle)\s+(?=[A-Z])", r"\\\1 "),
        (r"\\text\{-\}", "-"),
        (r"\+\s*/\s*-(?=\s*[\w.\\(])", r"\\pm "),
        (r"\\text\{\s*choose\s*\}", r" \\choose "),
        (r"\\text\{\s*\\?\$\s*\}", ""),
        (r"\\\\\s*\[[\d.]+\s*(?:pt|em|ex|mm|cm)\]", r"\\\\"),  # a row's spacing in a matrix
    )
)
VARIANT = re.compile(r"\\var(epsilon|phi|theta|rho|kappa)(?![a-z])")  # the same letter, unless both stand there
SPACED_NUMBER = re.compile(r"[-+]?\\?\$?\d{1,3}(?:(?:\\,|\\ |\\;|\s)\d{3})+(?:\.\d+)?")
LISTED = re.compile(r",\s|;|\band\b|\bor\b")
TIGHT_THOUSANDS = re.compile(r"(?<![\d.,])\d{1,3}(?:,\d{3})+(?![\d,]*\d)")
SAID = re.compile(
    r"^(?:\\text\{\s*)?(?:the\s+)?(?:final\s+|correct\s+)?answer\s*(?:is\b)?\s*:?\s*\}?\s*:?", re.IGNORECASE
)
# what is said of a value that may be rounded
ABOUT = re.compile(
    r"^(?:\\text\{\s*)?(?:about|approximately|approx\.?|roughly|around)\s*(?:\}\s*)?(?=[-+$\\]{0,2}(?:\d|frac|sqrt|pi))",
    re.IGNORECASE,
)
HALVES = {"half": r"\frac{1}{2}", "third": r"\frac{1}{3}", "quarter": r"\frac{1}{4}"}
HALVES |= {"two thirds": r"\frac{2}{3}", "three quarters": r"\frac{3}{4}"}
AND_A_HALF = re.compile(rf"(?<![\d.])(\d+)\s+and\s+(?:an?|one)?\s*-?({'|'.join(HALVES)})\b")
OUT_OF = re.compile(r"(\d+)\s*(?:\\text\{)?\s*out\s+of\s*\}?\s*(\d+)")
HOPE = re.compile(r"\.?\s*I hope (?:it|this) is correct\.?$", re.IGNORECASE)
FRACTION = r"\\[dt]?frac\s*(?:\{(\d{1,9})\}|(\d))\s*(?:\{(\d{1,9})\}|(\d))"
MIXED = re.compile(rf"([-+]?)(\d{{1,99}})(?:(?:\\[,;: ]|\s)*{FRACTION}|\s+(\d{{1,9}})\s*/\s*(\d{{1,9}}))\s*(\\?%)?")
SCIENTIFIC = re.compile(r"([-+]?\d+(?:\.\d+)?)[eE]([-+]?\d{1,6})")
REPEATING = re.compile(r"([-+]?)(\d{0,100})\.(\d{0,100})\\overline\{?(\d{1,100})\}?")
BASED = re.compile(r"([0-9A-Z]+)_\{?(\d+)\}?")  # digits in a base, which math-verify drops
BUILDER = re.compile(
    r"\\\{\s*[a-z]\s*(?:\\in\s*\\mathbb\s*\{?R\}?\s*)?(?::|\||\\mid|\\colon)\s*([^{}|:]*(?:[<>]|\\[lg]eq?(?![a-z]))[^{}|:]*)\\\}"
)
TEMPERATURE = re.compile(r"(\^\{?\\circ\s*\}?)\s*(?:\\(?:text|mathrm)\{\s*)?[CF]\}?$")
SCALES = {"hundred": 2, "thousand": 3, "million": 6, "billion": 9, "trillion": 12}
SCALED = re.compile(rf"([-+]?\d[\d,]*(?:\.\d+)?)\s*(?:\\text\{{)?\s*({'|'.join(SCALES)})s?\b(.*)", re.IGNORECASE)
QUOTES = re.compile(r"""^(?P<mark>['"])([^'"]+)(?P=mark)$""")
DOTTED = re.compile(r"(\d*\.\d*)\\dot\s*\{?(\d)\}?(?:(\d*)\\dot\s*\{?(\d)\}?)?|(\d+\.)\((\d{1,100})\)")
WRAPPERS = (("$$", "$$"), ("$", "$"), ("\\(", "\\)"), ("\\[", "\\]"), ("**", "**"), ("`", "`"))


def normalised(text: str) -> str:
    """Wrapping, units, end marks, what it holds for and Unicode signs removed; plain text, mixed numbers, powers of ten
    and repeating decimals as LaTeX that math-verify reads.
    """
    return valued(cleaned(text))


def cleaned(text: str) -> str:
    """An answer with its units, but without its wrapping, its quantifiers and its Unicode signs."""
    text = unwrapped(unquantified(stated(text)))
    text = QUOTES.sub(r"\2", text)
    text = ABOUT.sub("", re.sub(r"^[^=]{0,20}?\\approx(?![a-z])\s*", "", text)).rstrip("¢").strip()
    text = AND_A_HALF.sub(lambda match: f"{match[1]}{HALVES[match[2]]}", text)
    if match := OUT_OF.fullmatch(text):
        text = f"\\frac{{{match[1]}}}{{{match[2]}}}"
    text = TEMPERATURE.sub(r"\1", text)
    if match := BUILDER.fullmatch(text.replace("\\left", "").replace("\\right", "")):
        text = match[1].strip()  # the set of the x that fulfil it
    return text


def stated(text: str) -> str:
    """An answer without its wrapping and its Unicode signs."""
    text = HOPE.sub("", unwrapped(in_latex(text)))
    text = text.replace("\\left\\langle", "(").replace("\\right\\rangle", ")")
    text = text.replace("\\langle", "(").replace("\\rangle", ")")
    for pattern, kept in WRITTEN_OTHERWISE:
        text = pattern.sub(kept, text)
    text = VARIANT.sub(lambda match: match[0] if f"\\{match[1]}" in text else f"\\{match[1]}", text)
    return unwrapped(SAID.sub("", text))


def valued(text: str) -> str:
    """A cleaned answer without its units, as LaTeX."""
    if plain_number(text) is not None:
        return grouped(text)
    return grouped(one_number(as_latex(unwrapped(without_units(scaled(text))))))


def unwrapped(text: str) -> str:
    """Without the marks of mathematics and of bold type around it, and without a final point."""
    text = text.strip()
    while True:
        before = text
        for opening, closing in WRAPPERS:
            if text.startswith(opening) and text.endswith(closing) and len(text) > len(opening) + len(closing):
                inner = text[len(opening) : -len(closing)]
                text = inner.strip() if opening not in inner else text
        text = re.sub(r"(?:(?<!\\)[.,;:]|\\\\)+$", "", text).strip()
        if text == before:
            return text


def scaled(text: str) -> str:
    """A number of millions as a number; all other text as it is."""
    bare = text.lstrip("\\" + CURRENCY)
    if (match := SCALED.fullmatch(bare)) and re.fullmatch(r"[A-Za-z ]*\}?", match[3]):
        value = Fraction(match[1].replace(",", "")) * 10 ** SCALES[match[2].lower()]
        return str(value.numerator) if value.denominator == 1 else f"\\frac{{{value.numerator}}}{{{value.denominator}}}"
    return text


def one_number(text: str) -> str:
    """A mixed, scientific or repeating number as LaTeX; all other text as it is."""
    text = DOTTED.sub(repeated, text)
    if match := MIXED.fullmatch(text):
        sign, whole, *parts, percent = match.groups()
        top, bottom = (int(part) for part in parts if part)
        if bottom:
            return f"{sign}\\frac{{{int(whole) * bottom + top}}}{{{bottom}}}{percent or ''}"
    if match := SCIENTIFIC.fullmatch(text):
        return f"{match[1]}\\times 10^{{{int(match[2])}}}"
    if match := REPEATING.fullmatch(text):
        sign, whole, once, again = match.groups()
        value = Fraction(int(whole + once + again) - int(whole + once or "0"), 10 ** len(once) * (10 ** len(again) - 1))
        return f"{sign}\\frac{{{value.numerator}}}{{{value.denominator}}}"
    if match := BASED.fullmatch(text):
        return f"{match[1]}_{{{match[2]}}}"
    return text


def repeated(match: re.Match[str]) -> str:
    r"""0.1\dot{6} as 0.1\overline{6}, and 0.(3) as 0.\overline{3}."""
    before, first, between, last, whole, cycle = match.groups()
    return f"{whole}\\overline{{{cycle}}}" if cycle else f"{before}\\overline{{{first}{between or ''}{last or ''}}}"


def grouped(text: str) -> str:
    """Thousands that spaces set apart, joined; their commas, in a list whose commas have spaces, left out."""
    if SPACED_NUMBER.fullmatch(text):
        return re.sub(r"\\[,; ]|\s", "", text)
    if LISTED.search(text) and not text.startswith(("(", "[", "\\left")):
        return TIGHT_THOUSANDS.sub(lambda match: match[0].replace(",", ""), text)
    return text


def plain_number(text: str) -> Fraction | None:
    """The exact value of digits with a sign, thousands' commas, a point or a currency; None for anything else."""
    digits = re.sub(rf"\\?[{CURRENCY}]|\\!", "", text).replace("{,}", ",").strip()
    if NUMBER.fullmatch(digits) and any(character.isdigit() for character in digits) and len(digits) < LONGEST_ANSWER:
        return Fraction(digits.replace(",", ""))
    return None
