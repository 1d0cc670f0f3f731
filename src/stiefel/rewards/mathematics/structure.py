"""Whether two parsed answers are the same, part by part: tuples, sets, intervals, matrices, assignments, equations."""

from __future__ import annotations

from typing import Any

from .identity import POINTS, same
from .precision import NoValue, TooLarge, values_of

LEAST, MOST = -30, 45  # bits of the numbers that SymPy's solutions are trusted with


def decided(gold: Any, answer: Any) -> bool | None:
    """True or False where that is certain, None where it is for math-verify to say."""
    import sympy
    from sympy.core.relational import Relational

    gold, answer = unwrapped(gold, answer)
    if isinstance(gold, sympy.Symbol) or isinstance(answer, sympy.Symbol):
        both = isinstance(gold, sympy.Expr) and isinstance(answer, sympy.Expr)
        return (same(gold, answer) or None) if both else None  # a word may be the product of its letters
    if isinstance(gold, sympy.Expr) and isinstance(answer, sympy.Expr):
        return same(gold, answer)
    if isinstance(gold, Relational) and isinstance(answer, Relational):
        return same_relation(gold, answer)
    if isinstance(gold, sympy.MatrixBase) and isinstance(answer, sympy.MatrixBase):
        return gold.shape == answer.shape and all_decided(list(gold), list(answer))
    if isinstance(gold, sympy.Tuple) and isinstance(answer, sympy.Tuple):
        return len(gold) == len(answer) and all_decided(list(gold), list(answer))
    if isinstance(gold, sympy.FiniteSet) and isinstance(answer, sympy.FiniteSet):
        return same_sets(list(gold.args), list(answer.args))
    if isinstance(gold, sympy.Interval) and isinstance(answer, sympy.Interval):
        if (gold.left_open, gold.right_open) != (answer.left_open, answer.right_open):
            return False
        return all_decided([gold.start, gold.end], [answer.start, answer.end])
    return None


def unwrapped(gold: Any, answer: Any) -> tuple[Any, Any]:
    """Both without a name that one of them lacks: "x = 5" beside 5; the last side of "a + b = 5"."""
    import sympy

    if isinstance(gold, sympy.Expr) and isinstance(answer, sympy.Eq):
        return gold, answer.rhs
    if isinstance(answer, sympy.Expr) and isinstance(gold, sympy.Eq) and isinstance(gold.lhs, sympy.Symbol):
        return gold.rhs, answer
    return gold, answer


def all_decided(first: list[Any], second: list[Any]) -> bool | None:
    """Whether they are equal one by one."""
    verdicts = [True if a == b else decided(a, b) for a, b in zip(first, second, strict=True)]
    if False in verdicts:
        return False
    return None if None in verdicts else True


def same_sets(first: list[Any], second: list[Any]) -> bool | None:
    """Whether each has its equal on the other side."""
    if len(first) != len(second):
        return None  # two of one side may be equal, unevaluated
    named = assignments(first), assignments(second)
    if named[0] and named[0].keys() == named[1].keys():  # the same letters, each with a value of its own
        values = [named[1][name] for name in named[0]]
        apart = any(small_and_apart(*pair) for pair in zip(named[0].values(), values, strict=True))
        return False if apart else all_decided(list(named[0].values()), values)
    table = [[True if a == b else decided(a, b) for b in second] for a in first]
    rows = [*table, *(list(column) for column in zip(*table, strict=True))]
    if any(set(row) == {False} for row in rows):
        return False
    return True if all(row.count(True) == 1 for row in rows) else None


def assignments(values: list[Any]) -> dict[Any, Any]:
    """Letter → its value, where all are assignments to letters of their own; else nothing."""
    import sympy

    found = {value.lhs: value.rhs for value in values if isinstance(value, sympy.Eq) and value.lhs.is_Symbol}
    return found if len(found) == len(values) else {}


def small_and_apart(first: Any, second: Any) -> bool:
    """Whether both are decimals below a millionth, which math-verify rounds to 0, and not the same."""
    import sympy

    both = (first, second)
    if not all(isinstance(value, sympy.Expr) and value.is_real and value.has(sympy.Float) for value in both):
        return False
    if any(value.free_symbols for value in both):
        return False
    one, other = (value.evalf(15) for value in both)
    largest = max(abs(one), abs(other))
    return bool(largest < 1e-6 and abs(one - other) > 1e-3 * largest)


def same_relation(gold: Any, answer: Any) -> bool | None:
    """Whether two equations say the same: side by side, or one a multiple of the other.

    What is neither may still have the same solutions, unless its numbers are so small or large that SymPy rounds them.
    """
    import sympy

    if isinstance(gold, sympy.Eq) and isinstance(answer, sympy.Eq):
        sides = [decided(gold.lhs, answer.lhs) or gold.lhs == answer.lhs, decided(gold.rhs, answer.rhs)]
        if sides == [True, True]:
            return True
        if isinstance(gold.lhs, sympy.Symbol) and gold.lhs == answer.lhs and gold.lhs not in gold.rhs.free_symbols:
            return sides[1]
        if gold.lhs.is_Symbol and answer.lhs.is_Symbol and gold.lhs not in gold.rhs.free_symbols:
            return None
        verdict = multiple(gold, answer)
        return False if verdict is None and (extreme(gold) or extreme(answer)) else verdict
    return None


def extreme(relation: Any) -> bool:
    """Whether a number in it is so small or large that a solution in decimals would not tell it from its neighbour."""
    import sympy
    from mpmath import mp

    for part in sympy.preorder_traversal(relation):
        if isinstance(part, sympy.Expr) and part.is_number:
            try:
                number, _, _ = values_of(part, part, {})
            except NoValue:
                continue
            except TooLarge:
                return True
            if number and not LEAST < mp.mag(number) < MOST:
                return True
    return False


def multiple(gold: Any, answer: Any) -> bool | None:
    """Whether one equation is the other times a number; None where it is not."""
    import sympy
    from mpmath import mp

    sides = [side for relation in (gold, answer) for side in (relation.lhs, relation.rhs)]
    if not all(isinstance(side, sympy.Expr) for side in sides):
        return None
    first, second = gold.lhs - gold.rhs, answer.lhs - answer.rhs
    letters = sorted(first.free_symbols | second.free_symbols, key=str)
    if not letters or first.free_symbols != second.free_symbols:
        return None
    ratio = None
    for number, (low, high) in enumerate(POINTS):
        points = {
            letter: mp.mpf(low) + (high - low) * mp.mpf(7 * place + 3 * number + 1) / 97
            for place, letter in enumerate(letters)
        }
        try:
            a, b, rounding = values_of(first, second, points)
        except (NoValue, TooLarge):
            return None
        if abs(a) <= rounding or abs(b) <= rounding:
            return None
        ratio = ratio if ratio is not None else a / b
        if abs(a - ratio * b) > (1 + abs(ratio)) * max(rounding, mp.mpf(2) ** -100):
            return None
    return True
