r"""Whether two answers are the same mathematics, by `math-verify`, and where it would be too kind or too strict."""

from __future__ import annotations

import re
from itertools import product
from typing import Any

from .identity import NO_ANSWER, same
from .intervals import MEMBER, same_set, solutions
from .letters import as_letters, components
from .marks import as_primes, differ
from .parsed import parse
from .plus_minus import expanded
from .precision import NoValue, TooLarge, values_of
from .ratios import same_ratio, terms
from .structure import decided
from .values import SMALL, SMALL_NEAR

ASSIGNED = re.compile(r"\s*([A-Za-z](?:_\{?\w+\}?)?)\s*=\s*([^=,;]+?)\s*")
SEPARATED = re.compile(r",|;|\\(?:text|quad|mathrm)\s*\{?\s*(?:and|or)?\s*\}?|\band\b|\bor\b")
NO_LIST = re.compile(r"[=<>(\[]|\\(?:in|[lg]eq?)(?![a-z])")

# a letter that stands for something, or what holds letters that do not: words, names of sets, commands
LETTER = re.compile(r"\\(?:text|mathrm|mathbb|operatorname|begin|end)\s*\{[^{}]*\}|\\[A-Za-z]+|([A-Za-z])")
UNUSUAL = "qwvuzsthjkglmopbacfnrxy"  # letters that a capital may be renamed to; e, i and d mean something of their own


def equal(gold: str, answer: str) -> bool:
    """math-verify's verdict on two normalised answers that both parse.

    An ordered tuple equals a list in its order only, and no set in braces; assignments equal a tuple of their values in
    their order; "x<1 or x>2" is the union; ± stands for both; a letter i may be the imaginary unit.
    """
    gold, answer = as_primes(gold, answer), as_primes(answer, gold)
    if differ(as_letters(gold), as_letters(answer)):
        return False
    names = capitals(gold, answer)
    gold, answer = (expanded(renamed(as_vector(*sides), names)) for sides in ((gold, answer), (answer, gold)))
    kinds = bracket(gold), bracket(answer)
    if kinds in (("(", "{"), ("{", "(")):
        return False
    if kinds == ("(", "") and not NO_LIST.search(answer) and separated(gold[1:-1]) == separated(answer) > 1:
        answer = f"({answer})"
    if kinds[1] == "(" and (values := assigned(gold)):
        gold = f"({', '.join(values)})"
    verdict = same_solutions(gold, answer)
    if verdict is not None:
        return verdict
    ratios = terms(gold), terms(answer)
    if ratios[0] and ratios[1]:
        verdict = same_ratio(ratios[0], ratios[1], parse, same)
        if verdict is not None:
            return verdict
    elif max(len(side or ()) for side in ratios) > 2:
        return False
    return verified(parse(gold), parse(answer))


def parses(text: str) -> bool:
    """Whether a normalised answer can be read as mathematics."""
    if any(not isinstance(value, str) for value in parse(expanded(text))):
        return True
    return solutions(text) is not None or terms(text) is not None


def same_solutions(gold: str, answer: str) -> bool | None:
    """Whether inequalities of one letter have the same solutions, or an interval's; None for anything else."""
    from sympy import Set

    found = solutions(gold), solutions(answer)
    if found[0] and found[1]:
        return found[0][0] == found[1][0] and same_set(found[0][1], found[1][1], decided)
    for inequality, other in ((found[0], answer), (found[1], gold)):
        if inequality is not None:
            member = MEMBER.fullmatch(other)
            if member and member[1].lower() != inequality[0]:
                return None
            interval = next((value for value in parse(member[2] if member else other) if isinstance(value, Set)), None)
            return None if interval is None else same_set(inequality[1], interval, decided)
    return None


def as_vector(text: str, other: str) -> str:
    """A sum of unit vectors as the tuple or column that the other answer is."""
    found = components(text)
    if found is None:
        return text
    if components(other) is not None:
        return found
    if "matrix" in other:
        return "\\begin{pmatrix} " + found[1:-1].replace(", ", " \\\\ ") + " \\end{pmatrix}"
    return found if bracket(other) == "(" else text


def capitals(*texts: str) -> dict[str, str]:
    """Other letters for the capitals that stand beside their small letters in one of the texts.

    math-verify makes all letters small, by which R − r would be 0.
    """
    used = [{match[1] for match in LETTER.finditer(text) if match[1]} for text in texts]
    both = sorted({letter for letters in used for letter in letters if letter.isupper() and letter.lower() in letters})
    free = [letter for letter in UNUSUAL if not any(letter in map(str.lower, letters) for letters in used)]
    return dict(zip(both, free, strict=False))


def renamed(text: str, names: dict[str, str]) -> str:
    """The text with these letters in place of those."""
    return LETTER.sub(lambda match: names.get(match[0], match[0]), text) if names else text


def bracket(text: str) -> str:
    """The opening sign of one parenthesised tuple, or of one set in braces; else nothing."""
    text = text.replace("\\left", "").replace("\\right", "").strip()
    inner = re.fullmatch(r"\(([^()]*(?:\([^()]*\)[^()]*)*)\)", text)
    if inner and "," in inner[1]:
        return "("
    return "{" if re.fullmatch(r"\\\{[^{}]*,.*\\\}", text) and text.count("\\{") == 1 else ""


def separated(text: str) -> int:
    """How many answers a list has."""
    return len([part for part in SEPARATED.split(text) if part.strip()])


def assigned(text: str) -> list[str]:
    """The values of "x=3, y=4", each of another name; empty where the text is something else."""
    found = [ASSIGNED.fullmatch(part) for part in SEPARATED.split(text) if part.strip()]
    matches = [match for match in found if match]
    if len(matches) < 2 or len(matches) < len(found) or len({match[1] for match in matches}) < len(matches):
        return []
    return [match[2] for match in matches]


def verified(gold: tuple[Any, ...], answer: tuple[Any, ...]) -> bool:
    """math-verify's comparison; an interval may be written as an inequality."""
    from math_verify import verify
    from sympy import Basic, I

    options = {"allow_set_relation_comp": True, "timeout_seconds": None}
    undecided: list[tuple[Any, Any]] = []
    for pair in product(gold, answer):
        verdict = None if any(isinstance(side, str) for side in pair) else decided(*pair)
        if verdict:
            return True
        if verdict is None:
            undecided.append(pair)
    for first, second in undecided:
        if verify([first], [second], **options):
            return not both_small_and_apart((first,), (second,))
    unit = {
        symbol
        for value in gold + answer
        if isinstance(value, Basic)
        for symbol in value.free_symbols
        if symbol.name == "i"
    }
    if not unit:
        return False
    replaced = dict.fromkeys(unit, I)
    try:
        values = [[value.subs(replaced) for value in side if isinstance(value, Basic)] for side in (gold, answer)]
    except NO_ANSWER:
        return False
    return any(decided(*pair) or (decided(*pair) is None and verify(*pair, **options)) for pair in product(*values))


def both_small_and_apart(gold: tuple[Any, ...], answer: tuple[Any, ...]) -> bool:
    """Whether two numbers are only equal because math-verify rounds to six decimals, and both are of that size."""
    from sympy import Expr, Float

    first, second = (
        next((value for value in side if isinstance(value, Expr) and value.is_number), None) for side in (gold, answer)
    )
    if first is None or second is None or not (first.has(Float) or second.has(Float)):
        return False  # it only rounds where there is a decimal
    try:
        a, b, _ = values_of(first, second, {})
    except NoValue:
        return False
    except TooLarge:
        return True
    size = max(abs(a), abs(b))
    return bool(0 < size < float(SMALL) and abs(a - b) > float(SMALL_NEAR) * size)
