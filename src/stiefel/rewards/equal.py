r"""Whether two answers are the same mathematics, by `math-verify`, and where it would be too kind or too strict."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from .values import SMALL, SMALL_NEAR

ASSIGNED = re.compile(r"\s*([A-Za-z](?:_\{?\w+\}?)?)\s*=\s*([^=,;]+?)\s*")
SEPARATED = re.compile(r",|;|\\(?:text|quad|mathrm)\s*\{?\s*(?:and|or)?\s*\}?|\band\b|\bor\b")
EITHER = re.compile(r"\\text\{\s*or\s*\}|\bor\b|\\lor(?![a-z])|\\vee(?![a-z])")
INEQUALITY = re.compile(r"[<>]|\\(?:[lg]eq?|[lg]eqslant)(?![a-z])")
NO_LIST = re.compile(r"[=<>(\[]|\\(?:in|[lg]eq?)(?![a-z])")
PLAIN_WORDS = re.compile(r"\\(?:text|mathrm|textbf|mathbf|textit)\{([^{}]*)\}")

# a letter that stands for something, or what holds letters that do not: words, names of sets, commands
LETTER = re.compile(r"\\(?:text|mathrm|mathbb|operatorname|begin|end)\s*\{[^{}]*\}|\\[A-Za-z]+|([A-Za-z])")
UNUSUAL = "qwvuzsthjkglmopbacfnrxy"  # letters that a capital may be renamed to; e, i and d mean something of their own

# what SymPy raises of an expression that it cannot solve or that means nothing: the answer's fault, not the grader's
NO_ANSWER = (NotImplementedError, TypeError, ValueError, AttributeError, ArithmeticError)


@lru_cache(maxsize=2_000)
def parse(text: str) -> tuple[Any, ...]:
    """math-verify's reading of one LaTeX expression: SymPy values, or only a text where it cannot be parsed."""
    from math_verify import LatexExtractionConfig
    from math_verify import parse as parse_text

    latex_only = [LatexExtractionConfig(boxed_match_priority=0)]  # plain expressions would find a 5 in any text
    return tuple(parse_text(f"\\boxed{{{text}}}", latex_only, parsing_timeout=None))


def same_words(gold: str, answer: str) -> bool:
    r"""Whether two answers in words are the same: \text{Even} and even."""
    first, second = (" ".join(PLAIN_WORDS.sub(r"\1", text).split()).casefold() for text in (gold, answer))
    return first == second and bool(re.search(r"[a-z]{3}|\d\s*[ap]m", first)) and "\\" not in first


def equal(gold: str, answer: str) -> bool:
    """math-verify's verdict on two normalised answers that both parse.

    An ordered tuple equals a list in its order only, and no set in braces; assignments equal a tuple of their values in
    their order; "x<1 or x>2" is the union; a letter i may be the imaginary unit.
    """
    names = capitals(gold, answer)
    gold, answer = renamed(gold, names), renamed(answer, names)
    kinds = bracket(gold), bracket(answer)
    if kinds in (("(", "{"), ("{", "(")):
        return False
    if kinds == ("(", "") and not NO_LIST.search(answer) and separated(gold[1:-1]) == separated(answer) > 1:
        answer = f"({answer})"
    if kinds[1] == "(" and (values := assigned(gold)):
        gold = f"({', '.join(values)})"
    first, second = (union(text) or parse(text) for text in (gold, answer))
    return verified(first, second)


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


@lru_cache(maxsize=2_000)
def union(text: str) -> tuple[Any, ...]:
    """The set of "x<1 or x>2"; empty where the text is something else."""
    parts = EITHER.split(text)
    if len(parts) < 2 or not all(INEQUALITY.search(part) for part in parts):
        return ()
    from sympy import Or, Set
    from sympy.core.relational import Relational
    from sympy.logic.boolalg import And

    found = [
        next((value for value in parse(part.strip()) if isinstance(value, (Relational, And))), None) for part in parts
    ]
    relations = [relation for relation in found if relation is not None]
    if len(relations) < len(parts) or len(set().union(*(relation.free_symbols for relation in relations))) != 1:
        return ()
    try:
        solutions = Or(*relations).as_set()
    except NO_ANSWER:
        return ()
    return (solutions,) if isinstance(solutions, Set) else ()


def verified(gold: tuple[Any, ...], answer: tuple[Any, ...]) -> bool:
    """math-verify's comparison; an interval may be written as an inequality."""
    from math_verify import verify
    from sympy import Basic, I

    options = {"allow_set_relation_comp": True, "timeout_seconds": None}
    if verify(list(gold), list(answer), **options):
        return not both_small_and_apart(gold, answer)
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
    return bool(verify(*values, **options))


def both_small_and_apart(gold: tuple[Any, ...], answer: tuple[Any, ...]) -> bool:
    """Whether two numbers are only equal because math-verify rounds to six decimals, and both are of that size."""
    from sympy import Expr, Float

    first, second = (
        next((value for value in side if isinstance(value, Expr) and value.is_number), None) for side in (gold, answer)
    )
    if first is None or second is None or not (first.has(Float) or second.has(Float)):
        return False  # it only rounds where there is a decimal
    try:
        a, b = complex(first), complex(second)
    except NO_ANSWER:
        return False
    size = max(abs(a), abs(b))
    return 0 < size < SMALL and abs(a - b) > SMALL_NEAR * size
