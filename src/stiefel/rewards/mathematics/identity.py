"""Whether two expressions are the same: exactly where they are numbers, at random points where they hold letters."""

from __future__ import annotations

import random
from typing import Any

from .precision import NoValue, TooLarge, values_of

# what SymPy raises of an expression that it cannot solve or that means nothing: the answer's fault, not the grader's
NO_ANSWER = (NotImplementedError, TypeError, ValueError, AttributeError, ArithmeticError, IndexError)
POINTS = ((0.1, 0.9), (0.2, 0.8), (1.1, 3.0), (2.0, 9.0), (3.0, 30.0), (-0.9, -0.1), (-3.0, -1.1), (-9.0, 9.0))
ENOUGH = 3  # points at which both have a value, before they are called the same
SAME_DIGITS = 10**6  # random points have as many different values


def same(first: Any, second: Any) -> bool | None:
    """Whether two SymPy expressions are equal; None where that cannot be said here.

    A percentage is left to math-verify, and so is a decimal number, which may be rounded.
    """
    import sympy

    percent = sympy.UnevaluatedExpr(sympy.Rational(1, 100))
    if any(
        side.has(percent, sympy.oo, -sympy.oo, sympy.zoo, sympy.nan) or rounded_number(side) for side in (first, second)
    ):
        return None
    heavy = (sympy.Sum, sympy.Product, sympy.Integral, sympy.Limit, sympy.Derivative)
    if any(side.has(*heavy) for side in (first, second)):
        if first.free_symbols or second.free_symbols:
            return None
        try:
            first, second = first.doit(), second.doit()
        except NO_ANSWER:
            return None
        if any(side.has(*heavy) or not isinstance(side, sympy.Expr) for side in (first, second)):
            return None
    first, second = opaque(first), opaque(second)
    letters = sorted(first.free_symbols | second.free_symbols, key=str)
    try:
        if not letters:
            a, b, rounding = values_of(first, second, {})
            return bool(abs(a - b) <= rounding)
        return same_function(first, second, letters)
    except NoValue:
        return None
    except TooLarge:
        return bool(first == second) if not letters else None


def same_function(first: Any, second: Any, letters: list[Any]) -> bool | None:
    """Whether they agree wherever both have a real value; at all points where one has an imaginary unit."""
    import sympy
    from mpmath import mp

    rng = random.Random(str(letters))
    everywhere = first.has(sympy.I) or second.has(sympy.I)
    agreed = 0
    for low, high in POINTS:
        points = {
            letter: mp.mpf(rng.randint(int(low * SAME_DIGITS), int(high * SAME_DIGITS))) / SAME_DIGITS
            for letter in letters
        }
        try:
            a, b, rounding = values_of(first, second, points)
        except NoValue:
            continue
        if not everywhere and abs(mp.im(a)) > rounding and abs(mp.im(b)) > rounding:
            continue  # outside of what both are meant for
        if abs(a - b) > rounding:
            return False
        agreed += 1
    return True if agreed >= ENOUGH else None


def rounded_number(expression: Any) -> bool:
    """Whether it is a decimal number as it is written, a power of ten beside it or not."""
    import sympy

    factors = sympy.Mul.make_args(expression)
    return any(isinstance(factor, sympy.Float) for factor in factors) and all(
        factor.is_Number or (isinstance(factor, sympy.Pow) and all(part.is_Integer for part in factor.args))
        for factor in factors
    )


def opaque(expression: Any) -> Any:
    """The expression with a letter for each value of an undefined function."""
    from sympy import Symbol
    from sympy.core.function import AppliedUndef

    calls = expression.atoms(AppliedUndef)
    return expression.xreplace({call: Symbol(f"{call}()", real=True) for call in calls}) if calls else expression
