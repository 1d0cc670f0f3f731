"""Pairs of arguments and a value → tests that call the function."""

from __future__ import annotations

import json
import keyword
from contextlib import suppress
from typing import Any

from ..grade import UnreadableGold
from .cases import Pairs

# what solutions of these benchmarks are written behind, as their own harnesses have it
PRELUDE = (
    "import bisect, collections, copy, functools, heapq, itertools, math, operator, random, re, string, sys\n"
    "from bisect import *\nfrom collections import *\nfrom functools import *\nfrom heapq import *\n"
    "from itertools import *\n"
    "from math import ceil, comb, factorial, floor, gcd, inf, isqrt, lcm, log, log2, sqrt\nfrom typing import *\n"
)
# tuples are lists there, and a value may stand in a list of its own
TESTS = """
import json

def _plain(value):
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    return value

def _same(got, wanted):
    if isinstance(got, list) and isinstance(wanted, list):
        return len(got) == len(wanted) and all(map(_same, got, wanted))
    if isinstance(got, dict) and isinstance(wanted, dict):
        return got.keys() == wanted.keys() and all(_same(got[key], wanted[key]) for key in wanted)
    if float in (type(got), type(wanted)) and {type(got), type(wanted)} <= {int, float}:
        return got == wanted or abs(got - wanted) <= max(1e-6, 1e-9 * abs(wanted))
    return type(got) is type(wanted) and got == wanted

for _given, _wanted in json.loads(CASES):
    _got = _plain(CALLEE(*_given))
    assert _same(_got, _wanted)WRAPPED, (_given, _got, _wanted)
"""
LONGEST = 4_000_000  # characters of the cases: they are one message


def call_tests(pairs: Pairs, callee: str) -> str:
    """Tests in Python: the function's value for every input is its output."""
    wrapped = all(isinstance(wanted, list | tuple) and len(wanted) == 1 for wanted in pairs.outputs)
    cases = [[arguments(given), plain_value(wanted)] for given, wanted in zip(pairs.inputs, pairs.outputs, strict=True)]
    try:
        text = json.dumps(cases)
    except (TypeError, ValueError) as error:
        raise UnreadableGold(f"the tests are no plain values: {error}") from error
    if len(text) > LONGEST:
        raise UnreadableGold(f"tests of {len(text)} characters")
    tests = TESTS.replace("WRAPPED", " or _same(_got, _wanted[0])" if wrapped else "").replace("CALLEE", callee)
    return tests.replace("CASES", repr(text))


def arguments(given: Any) -> list[Any]:
    """A list of them as it is; a text holds one a line, as JSON."""
    if isinstance(given, list | tuple):
        return [*given]
    if isinstance(given, str):
        try:
            return [json.loads(line) for line in given.splitlines() if line.strip()]
        except (ValueError, RecursionError) as error:
            raise UnreadableGold(f"the arguments {given[:100]!r} are not JSON, one a line") from error
    raise UnreadableGold(f"the arguments {str(given)[:100]} are no list")


def plain_value(wanted: Any) -> Any:
    """The value that is wanted, from JSON where it is such a text."""
    if isinstance(wanted, str):
        with suppress(ValueError, RecursionError):
            return json.loads(wanted)
    return wanted


def function_name(name: str) -> str:
    """The name, if it is one: it is written into tests."""
    parts = name.split(".")
    if not all(part.isidentifier() and not keyword.iskeyword(part) for part in parts):
        raise UnreadableGold(f"{name[:100]!r} is no function's name")
    return parts[-1]
