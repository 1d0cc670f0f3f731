r"""An answer's text → LaTeX that `math-verify` reads: signs, wrapping, units in words, mixed numbers, powers of ten."""

from __future__ import annotations

import re
from fractions import Fraction

LONGEST_ANSWER = 1_000  # characters; the longest in MATH-500 has 159
NUMBER = re.compile(r"[-+]?(?:\d{1,3}(?:,\d{3})+|\d+)?(?:\.\d+)?")
CURRENCY = "$€£¥₹"

SIGNS = str.maketrans(
    {"−": "-", "–": "-", "×": "\\times ", "·": "\\cdot ", "÷": "/", "≈": "\\approx "}
    | {"π": "\\pi ", "∞": "\\infty ", "°": "^\\circ ", "²": "^2", "³": "^3", "θ": "\\theta "}
    | {"≤": "\\le ", "≥": "\\ge ", "≠": "\\ne ", "±": "\\pm ", "∪": "\\cup ", "∩": "\\cap ", "∈": "\\in "}
    | {"½": "\\frac{1}{2}", "¼": "\\frac{1}{4}", "¾": "\\frac{3}{4}", "⅓": "\\frac{1}{3}", "⅔": "\\frac{2}{3}"}
    | {"\u00a0": " ", "\u202f": " ", "~": " ", "∅": "\\emptyset ", "⟨": "(", "⟩": ")"}
)
WRITTEN_OTHERWISE = tuple(
    (re.compile(pattern), kept)
    for pattern, kept in (
        (r"\\varnothing(?![a-z])", r"\\emptyset "),
        (r"\\degree(?![a-z])", r"^\\circ "),
        (r"\\text\{-\}", "-"),
        (r"\\text\{\s*\\?\$\s*\}", ""),
        (r"\\\\\s*\[[\d.]+\s*(?:pt|em|ex|mm|cm)\]", r"\\\\"),  # a row's spacing in a matrix
    )
)
SPACED_NUMBER = re.compile(r"[-+]?\\?\$?\d{1,3}(?:(?:\\,|\\ |\\;|\s)\d{3})+(?:\.\d+)?")
LISTED = re.compile(r",\s|;|\band\b|\bor\b")
TIGHT_THOUSANDS = re.compile(r"(?<![\d.,])\d{1,3}(?:,\d{3})+(?![\d,]*\d)")
SAID = re.compile(
    r"^(?:\\text\{\s*)?(?:the\s+)?(?:final\s+|correct\s+)?answer\s*(?:is\b)?\s*:?\s*\}?\s*:?", re.IGNORECASE
)
HOPE = re.compile(r"\.?\s*I hope (?:it|this) is correct\.?$", re.IGNORECASE)
QUANTIFIER = r"for\s+(?:all|every|any|each)\b"
FOR_ALL = re.compile(
    rf"(?:\\quad|\\qquad|\\[,;: ]|[,\s])*(?:\\text\{{\s*,?\s*{QUANTIFIER}|{QUANTIFIER}|\\forall(?![a-z])).*$", re.DOTALL
)
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
# a word of two or three letters may be a product of variables, unless it is one of these
SHORT_UNITS = r"[cmk]?m|[km]g|ml|ft|in|yd|lbs?|oz|hrs?|min|sec|day|men|[mk]ph|usd|[ap]m|gal|ton|sq|deg"
UNIT = re.compile(rf"[a-z]{{4,}}|{SHORT_UNITS}")
WORD = r"[A-Za-z]{2,}(?:\^?\{?[23]\}?)?"
UNITS = re.compile(
    rf"\\?\$?\s*([-+]?[\d,]*\.?\d+)\s+({WORD}(?:(?:[ .]+|\s*/\s*| an? ){WORD}|\s*/\s*[A-Za-z](?:\^?\{{?[23]\}}?)?)*)"
)
NOT_UNITS = {"and", "or", "mod", "pi", "sqrt", "times", "over", "percent", "percentage", "pct", "to", "hundred"}
NOT_UNITS |= {"half", "halves", "thirds", "fifths", "sixths", "eighths", "tenths", "hundredths", "thousandths"}
NOT_UNITS |= {"factorial", "doubled", "tripled", "halved"}
NOT_UNITS |= {"thousand", "million", "billion", "trillion", "dozen", "squared", "cubed", "plus", "minus", "infinity"}
WRAPPERS = (("$$", "$$"), ("$", "$"), ("\\(", "\\)"), ("\\[", "\\]"), ("**", "**"), ("`", "`"))


def normalised(text: str) -> str:
    """Wrapping, units in words, end marks and Unicode signs removed; mixed numbers, powers of ten and repeating
    decimals as LaTeX that math-verify reads.
    """
    text = HOPE.sub("", unwrapped(text.translate(SIGNS)))
    text = text.replace("\\left\\langle", "(").replace("\\right\\rangle", ")")
    text = text.replace("\\langle", "(").replace("\\rangle", ")")
    for pattern, kept in WRITTEN_OTHERWISE:
        text = pattern.sub(kept, text)
    text = unwrapped(FOR_ALL.sub("", SAID.sub("", text)))
    text = re.sub(r"^[^=]{0,20}?\\approx(?![a-z])\s*", "", text).rstrip("¢").strip()
    text = TEMPERATURE.sub(r"\1", text)
    if match := BUILDER.fullmatch(text.replace("\\left", "").replace("\\right", "")):
        text = match[1].strip()  # the set of the x that fulfil it
    return grouped(number_or_units(text))


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


def number_or_units(text: str) -> str:
    """A mixed, scientific, repeating or scaled number as LaTeX; the number alone of one with units; else the text."""
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
    bare = text.lstrip("\\" + CURRENCY)
    if (match := SCALED.fullmatch(bare)) and re.fullmatch(r"[A-Za-z ]*\}?", match[3]):
        value = Fraction(match[1].replace(",", "")) * 10 ** SCALES[match[2].lower()]
        return str(value.numerator) if value.denominator == 1 else f"\\frac{{{value.numerator}}}{{{value.denominator}}}"
    if match := UNITS.fullmatch(text):
        words = re.findall(r"[a-z]+", match[2].lower())
        if any(UNIT.fullmatch(word) for word in words) and not NOT_UNITS & set(words):
            return match[1]
    return text


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
