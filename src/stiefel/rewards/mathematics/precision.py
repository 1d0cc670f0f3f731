"""An expression's value at a precision that follows the sizes of its parts: what tells 1 − 2⁻⁹⁸ from 1 − 2⁻⁹⁹.

SymPy's own evaluation of a difference rounds what is small against 1 to nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

LARGEST = 200_000  # bits of the sizes of two expressions' parts together
FIRST = 128  # bits at which the sizes are taken
SLACK = 128  # bits beyond the sizes: the rounding of every step, and more than two unequal numbers share
WHOLE = 64  # bits, within which a value is taken for whole where it is rounded up or down


class NoValue(Exception):
    """An expression that has no value here: a sum, a limit, an undefined function, a division by zero."""


class TooLarge(Exception):
    """An expression too large to be evaluated."""


@dataclass
class Sizes:
    """The bits that an expression's parts lie above or below 1, together, and those of the largest."""

    bits: float = 0.0
    largest: float = 0.0


def values_of(first: Any, second: Any, points: Mapping[Any, Any]) -> tuple[Any, Any, Any]:
    """Two expressions' values, and what their difference may be for rounding alone; raises NoValue or TooLarge.

    points: the symbols' values.
    """
    from mpmath import mp

    bits = float(FIRST)
    for again in (True, False):
        with mp.workprec(int(bits)):
            sizes = Sizes()
            a, b = value(first, points, sizes), value(second, points, sizes)
            if not again:
                return a, b, mp.ldexp(1, int(sizes.largest) - int(bits) + SLACK // 2)
        bits = 2 * sizes.bits + 2 * SLACK
    raise AssertionError("the second value returns")


def value(expression: Any, points: Mapping[Any, Any], sizes: Sizes) -> Any:
    """The value at mpmath's precision, its size added to the sizes."""
    from mpmath import mp

    try:
        found = node(expression, points, sizes)
    except (ArithmeticError, ValueError, TypeError) as error:  # a pole, or what mpmath has no value for
        raise NoValue from error
    if not mp.isfinite(found):
        raise NoValue
    if found:
        size = mp.mag(found)
        sizes.bits += abs(size)
        sizes.largest = max(sizes.largest, size)
    bounded(sizes.bits)
    return found


def bounded(bits: Any) -> None:
    """Raises TooLarge beyond what is evaluated."""
    if not bits <= LARGEST:
        raise TooLarge


def node(expression: Any, points: Mapping[Any, Any], sizes: Sizes) -> Any:
    """One node's value."""
    import sympy
    from mpmath import mp

    if expression in points:
        return points[expression]
    if isinstance(expression, sympy.Float):
        expression = sympy.Rational(str(expression))  # what was written, not the nearest binary number
    if isinstance(expression, sympy.Rational):
        bits = expression.p.bit_length() + expression.q.bit_length()
        bounded(bits)
        sizes.bits += bits
        return mp.mpf(int(expression.p)) / int(expression.q)
    if expression in constants():
        return constants()[expression]()
    if not isinstance(expression, sympy.Expr) or not expression.args:
        raise NoValue
    arguments = [value(argument, points, sizes) for argument in expression.args]
    if expression.func not in functions():
        raise NoValue
    return functions()[expression.func](*arguments)


def power(base: Any, exponent: Any) -> Any:
    """A power, where it is not too large to hold."""
    from mpmath import mp

    if base == 0:
        if mp.re(exponent) <= 0:
            raise NoValue
        return mp.mpf(0)
    with mp.workprec(53):
        bounded(abs(exponent) * abs(mp.log(abs(base), 2)))
    return base ** int(mp.re(exponent)) if mp.isint(exponent) else mp.power(base, exponent)


def factorial(number: Any) -> Any:
    """A factorial, where it is not too large to hold."""
    from mpmath import mp

    with mp.workprec(53):
        bounded(abs(number) * mp.log(abs(number) + 1, 2))
    return mp.mpf(math.factorial(int(number))) if natural(number) else mp.factorial(number)


def binomial(above: Any, below: Any) -> Any:
    """A binomial coefficient, where it is not too large to hold."""
    from mpmath import mp

    with mp.workprec(53):
        bounded(abs(above) if abs(above) <= LARGEST else abs(below) * mp.log(abs(above), 2))
    if natural(above) and natural(below):
        return mp.mpf(math.comb(int(above), int(below)))
    return mp.binomial(above, below)


def natural(number: Any) -> bool:
    """Whether it is a whole number from 0."""
    from mpmath import mp

    return bool(mp.isint(number) and mp.re(number) >= 0 and mp.im(number) == 0)


def rounded(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Down or up, but not for the sake of a rounding error."""

    def at(number: Any) -> Any:
        from mpmath import mp

        whole = mp.nint(number)
        return whole if abs(number - whole) < mp.ldexp(1, -WHOLE) else function(number)

    return at


@cache
def constants() -> dict[Any, Callable[[], Any]]:
    """SymPy's constants → their values at mpmath's precision."""
    import sympy
    from mpmath import mp

    return {
        sympy.pi: lambda: +mp.pi,
        sympy.E: lambda: +mp.e,
        sympy.EulerGamma: lambda: +mp.euler,
        sympy.I: lambda: mp.mpc(0, 1),
    }


@cache
def functions() -> dict[Any, Callable[..., Any]]:
    """SymPy's functions → mpmath's."""
    import sympy
    from mpmath import mp

    return {
        sympy.Add: lambda *terms: mp.fsum(terms),
        sympy.Mul: lambda *factors: mp.fprod(factors),
        sympy.Pow: power,
        sympy.exp: lambda number: power(+mp.e, number),
        sympy.log: mp.log,
        sympy.factorial: factorial,
        sympy.gamma: lambda number: factorial(number - 1),
        sympy.binomial: binomial,
        sympy.Abs: abs,
        sympy.floor: rounded(mp.floor),
        sympy.ceiling: rounded(mp.ceil),
        sympy.Max: lambda *numbers: max(numbers),
        sympy.Min: lambda *numbers: min(numbers),
        sympy.UnevaluatedExpr: lambda number: number,
        **{sympy.sin: mp.sin, sympy.cos: mp.cos, sympy.tan: mp.tan, sympy.cot: mp.cot, sympy.sec: mp.sec},
        **{sympy.csc: mp.csc, sympy.asin: mp.asin, sympy.acos: mp.acos, sympy.atan: mp.atan, sympy.acot: mp.acot},
        **{sympy.sinh: mp.sinh, sympy.cosh: mp.cosh, sympy.tanh: mp.tanh, sympy.coth: mp.coth},
        **{sympy.asinh: mp.asinh, sympy.acosh: mp.acosh, sympy.atanh: mp.atanh, sympy.zeta: mp.zeta},
        **{sympy.asec: mp.asec, sympy.acsc: mp.acsc},
    }
