"""The form of an answer, for the scorers of reasoning-gym that evaluate it or pick the right part out of any text."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Callable
from fractions import Fraction
from typing import Any

Entry = dict[str, Any]

# eval() is called on what is not the answer as it stands: a literal, or words and numbers, which call nothing
EVALUATED = ("binary_matrix", "n_queens", "spiral_matrix", "string_insertion")
PLAIN = re.compile(r"[\w \n,.-]*")

# SymPy's parser, which is eval() after some rewriting
PARSED = ("countdown", "intermediate_integration", "polynomial_multiplication", "puzzle24", "simple_integration")
EXPRESSION = re.compile(r"(?:\s|\d++(?:\.\d*+)?|\.\d++|[A-Za-z]\w*+|\*\*|[-+*/(),])*+")
NAME = re.compile(r"[A-Za-z]\w*")
FUNCTIONS = {
    *("sin", "cos", "tan", "sec", "csc", "cot", "asin", "acos", "atan", "sinh", "cosh", "tanh"),
    *("asinh", "acosh", "atanh", "exp", "log", "ln", "sqrt", "Abs", "pi"),
}

# any text that holds the right part is whole: these are the forms of an answer that is nothing else
NUMBER = r"-?\d+(?:\.\d+)?"
STATED = r"\w+ is (?:an? )?\w+"
WHOLE: dict[str, re.Pattern[str]] = {
    "fraction_simplification": re.compile(r"\$?\s*(?:-?\d+\s*/\s*\d+|\\d?frac\{\s*-?\d+\s*\}\{\s*\d+\s*\})\s*\$?"),
    "gsm_symbolic": re.compile(r"\$?-?\d[\d,]*(?:\.\d+)?%?"),
    "kakurasu": re.compile(r"[01\s]+"),
    "knights_knaves": re.compile(rf"{STATED}(?:(?:,\s*and\s+|,\s*|\s+and\s+){STATED})*\.?", re.IGNORECASE),
    "polynomial_equations": re.compile(rf"(?:{NUMBER}(?:\s*,\s*{NUMBER})*)?"),
    "quantum_lock": re.compile(r"[A-C](?:\s*(?:→|->|,)?\s*[A-C])*", re.IGNORECASE),
    "rush_hour": re.compile(r"[A-Z][+-]\d+(?:[\s,]+[A-Z][+-]\d+)*"),
    "sokoban": re.compile(r"[UDLR]+", re.IGNORECASE),
    "survo": re.compile(r"[-\d\s]+"),
    "time_intervals": re.compile(r"(?:-?\d+ days?)?(?:,? *-?\d+:\d+(?::\d+(?:\.\d+)?)?)?"),
}


def unfit(name: str, answer: str, entry: Entry) -> str:
    """Why the scorer of a task is not to see an answer, that has not the form of one; "" where it may."""
    if name in EVALUATED:
        return "" if PLAIN.fullmatch(answer) or is_literal(answer) else "neither a text of the task's form nor a list"
    if name in PARSED:
        return bad_expression(answer, entry)
    if name in WHOLE and not WHOLE[name].fullmatch(answer.strip()):
        return "not of the form of this task's answers"
    return ""


def unearned(name: str, answer: str, entry: Entry) -> str:
    """Why an answer that its scorer calls whole is not; "" where it is."""
    return RULES[name](answer, entry) if name in RULES else ""


def is_literal(text: str) -> bool:
    """Whether it is a Python literal."""
    try:
        ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return False
    return True


def bad_expression(answer: str, entry: Entry) -> str:
    """Why it is no expression of numbers, letters, + - * / ** and elementary functions."""
    if not EXPRESSION.fullmatch(answer):
        return "no arithmetic expression"
    known = FUNCTIONS | set(NAME.findall(str(entry["answer"])))  # of an integral that SymPy left as one, too
    strange = [name for name in NAME.findall(answer) if len(name) > 1 and name not in known]
    return f"no arithmetic expression: {strange[0][:40]}" if strange else ""


def the_word(answer: str, entry: Entry) -> str:
    """game_of_life_halting's scorer takes every text that is not empty: bool("False") is True."""
    return "" if answer.strip().lower() == str(entry["answer"]).strip().lower() else "another word than the answer"


def as_long(answer: str, entry: Entry) -> str:
    """The scorers of letter_jumble and spell_backward read as much as the answer has, and no further."""
    return "" if len(answer.strip()) == len(str(entry["answer"]).strip()) else "not as long as the answer"


def as_many(answer: str, entry: Entry) -> str:
    """The scorers of word_sorting and advanced_geometry read the first items, and no further."""
    many, wanted = answer.count(",") + 1, str(entry["answer"]).count(",") + 1
    return "" if many == wanted else f"{many} items and not {wanted}"


def the_number(answer: str, entry: Entry) -> str:
    """gsm_symbolic's scorer reads a part of a number, without its sign; coin_flip's takes longer ones."""
    value, gold = (Fraction(text.strip("$% ").replace(",", "")) for text in (answer, str(entry["answer"])))
    return "" if abs(value - gold) <= Fraction(1, 10_000) else "another number than the answer"


def of_its_kind(answer: str, entry: Entry) -> str:
    """time_intervals' scorer reads days, or a clock, and leaves a sign or the rest aside."""
    gold = str(entry["answer"])
    same = all((mark in answer) == (mark in gold) for mark in ("day", ":", "-"))
    return "" if same else "another kind of time than the answer"


def its_numbers(answer: str, entry: Entry) -> str:
    """puzzle24's scorer takes any four numbers that make 24."""
    used = Counter(int(number) for number in re.findall(r"\b\d+\b", answer))
    given = Counter(entry["metadata"]["numbers"])
    return "" if used == given else "not the numbers of the question, each once"


RULES: dict[str, Callable[[str, Entry], str]] = {
    "advanced_geometry": as_many,
    "coin_flip": the_number,
    "game_of_life_halting": the_word,
    "gsm_symbolic": the_number,
    "letter_jumble": as_long,
    "puzzle24": its_numbers,
    "spell_backward": as_long,
    "time_intervals": of_its_kind,
    "word_sorting": as_many,
}
