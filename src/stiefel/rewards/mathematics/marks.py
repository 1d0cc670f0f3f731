r"""Marks that change what they stand at, and that math-verify drops: primes, transposes, angles, double factorials."""

from __future__ import annotations

import re
from collections import Counter

INDEX = r"_(?:\{[^{}]*\}|[A-Za-z0-9])"
PRIMED = re.compile(
    rf"(\\?[A-Za-z]+\s*|[)\]}}])({INDEX})?(?:\s*\^\s*\{{?\s*((?:\\prime\s*)+)\}}?|\s*((?:'|\\prime(?![a-z])\s*)+))({INDEX})?"
)
RATE = re.compile(
    r"\\[dt]?frac\s*\{\s*(?:\\mathrm\{)?d\}?\s*(?:\^\s*\{?(\d)\}?)?\s*([A-Za-z])\s*\}\s*\{\s*(?:\\mathrm\{)?d\}?\s*([A-Za-z])"
    r"\s*(?:\^\s*\{?(\d)\}?)?\s*\}"
)
TRANSPOSED = re.compile(
    r"\^\s*(?:T(?![A-Za-z])|\\top(?![a-z])|\\intercal(?![a-z])|\{\s*(?:\\(?:mathrm|text|mathsf|rm|mathbf|intercal)?\s*"
    r"\{?\s*)?(?:T|\\top|\\intercal|\\mathsf\s*T)\s*\}?\s*\})"
)
ADJOINT = re.compile(r"\^\s*\{?\s*(\*|\\ast|\\star|\\dagger|\\dag|\\perp|\\complement|\\ddagger)(?![A-Za-z])\s*\}?")
ADJOINTS = {"*": "u", "\\ast": "u", "\\star": "u", "\\dagger": "v", "\\dag": "v", "\\perp": "w", "\\complement": "c"}
FIGURE = re.compile(
    r"(?:m\s*)?\\(angle|measuredangle|triangle|square|odot|widehat|overarc|overparen)\s*\{?\s*"
    r"((?:[A-Z](?:_\{?\w\}?|'|_\{prime\})*\s*)+|\d+)\}?"
)
# one of these on one side only is not the same mathematics, whatever a parser that drops it says
KEPT = re.compile(
    r"(?<![A-Za-z0-9])'+|(?<=[A-Za-z)}\]])'+|\\prime|\\(?:angle|measuredangle|triangle|nabla|partial|neg|lnot|dagger|dag|"
    r"perp|parallel|dot|ddot|bar|hat|tilde|circ|star|ast|oplus|otimes|wedge)(?![A-Za-z])"
)
DEGREES = re.compile(r"\^\s*\{?\s*\\circ\s*\}?")
FONTS = {"\\measuredangle": "\\angle"}


def kept(text: str) -> str:
    """A text whose marks have become parts of names and powers, so that a parser keeps them."""
    if "^" in text:
        text = TRANSPOSED.sub("^{1T}", text)  # alone, a T in the exponent is dropped
        text = ADJOINT.sub(lambda match: f"^{{{ADJOINTS.get(match[1], 'u')}}}", text)
    if "'" in text or "\\prime" in text:
        text = PRIMED.sub(primed, text)
    if "angle" in text or FIGURE.search(text):
        text = FIGURE.sub(figure, text)
    return text


def primed(match: re.Match[str]) -> str:
    """A name with its primes in its index: f'' → f_{dd}."""
    name, before, powers, quotes, after = match.groups()
    count = (powers or "").count("\\prime") + (quotes or "").count("'") + (quotes or "").count("\\prime")
    index = "".join(part.strip("_{} ") for part in (before, after) if part)
    if name[0] in ")]}":
        return f"{name}{before or ''}^{{{'z' * count}}}{after or ''}"
    return f"{name.rstrip()}_{{{index}{'z' * count}}}"


def figure(match: re.Match[str]) -> str:
    """An angle, a triangle or an arc as one name: an angle is that read backwards, a triangle that in any order."""
    kind, points = match[1].replace("measuredangle", "angle"), re.findall(r"[A-Z](?:_\{?\w+\}?|')*|\d+", match[2])
    if kind in ("triangle",):
        points = sorted(points)
    elif points[::-1] < points:
        points = points[::-1]
    name = "".join(re.sub(r"\W|_", "", point) for point in points)
    return f"\\text{{{kind}{name}}}"


def as_primes(text: str, other: str) -> str:
    """dy/dx as y', where the other text has a prime and no rate, and all rates are by one letter."""
    rates = list(RATE.finditer(text))
    if not rates or not PRIMED.search(other) or RATE.search(other) or len({rate[3] for rate in rates}) > 1:
        return text
    if any(rate[1] != rate[4] for rate in rates):
        return text
    return RATE.sub(lambda rate: rate[2] + "'" * int(rate[1] or 1), text)


def differ(first: str, second: str) -> bool:
    """Whether one text has marks that the other lacks."""
    return counted(first) != counted(second)


def counted(text: str) -> Counter[str]:
    """How often each mark stands in a text; degrees are no marks."""
    found: Counter[str] = Counter()
    for mark in KEPT.findall(DEGREES.sub("", text)):
        found["'"] += mark.count("'") + (mark == "\\prime")
        if "'" not in mark and mark != "\\prime":
            found[FONTS.get(mark, mark)] += 1
    return +found
