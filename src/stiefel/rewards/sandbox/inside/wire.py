"""Frames of JSON over pipes, and Python's plain values as JSON: no object of one process comes to live in another."""

from __future__ import annotations

import builtins
import importlib
import json
import os
import struct
from collections.abc import Callable
from typing import Any

SETS: Any = (set, type({}.keys()), type({}.items()))
BUILT_IN: dict[Any, str] = {value: name for name, value in vars(builtins).items() if isinstance(value, type)}
# values of the standard library that are plain by content: type → (its parts, the value of them)
STANDARD: dict[tuple[str, str], tuple[Callable[[Any], Any], Callable[..., Any]]] = {
    ("decimal", "Decimal"): (lambda value: [str(value)], lambda kind, text: kind(str(text))),
    ("fractions", "Fraction"): (
        lambda value: [value.numerator, value.denominator],
        lambda kind, top, bottom: kind(int(top), int(bottom)),
    ),
    ("datetime", "date"): (lambda value: [value.isoformat()], lambda kind, text: kind.fromisoformat(text)),
    ("datetime", "datetime"): (lambda value: [value.isoformat()], lambda kind, text: kind.fromisoformat(text)),
    ("datetime", "time"): (lambda value: [value.isoformat()], lambda kind, text: kind.fromisoformat(text)),
    ("datetime", "timedelta"): (
        lambda value: [value.days, value.seconds, value.microseconds],
        lambda kind, *parts: kind(*map(int, parts)),
    ),
    ("collections", "deque"): (lambda value: [list(value), value.maxlen], lambda kind, *parts: kind(*parts)),
}
FRAME_BYTES = 8 * 2**20  # longest message; a program that returns more than this has failed


class Closed(BaseException):
    """The other side is gone, or what it sent is no message. No `except Exception` of a test can swallow it."""


def send(fd: int, message: Any) -> None:
    """Write one message; raises `Closed` where it is too long or nobody reads."""
    data = json.dumps(message).encode()
    if len(data) > FRAME_BYTES:
        raise Closed(f"a message of {len(data)} bytes, the limit is {FRAME_BYTES}")
    view = memoryview(struct.pack(">I", len(data)) + data)
    try:
        while view:
            view = view[os.write(fd, view) :]
    except BrokenPipeError as error:
        raise Closed("the pipe is broken") from error


def receive(fd: int) -> Any:
    """Read one message; raises `Closed` at the end of the stream and on anything that is no message."""
    (length,) = struct.unpack(">I", exactly(fd, 4))
    if length > FRAME_BYTES:
        raise Closed(f"a message of {length} bytes, the limit is {FRAME_BYTES}")
    try:
        return json.loads(exactly(fd, length))
    except (ValueError, RecursionError) as error:
        raise Closed("not a message") from error


def exactly(fd: int, count: int) -> bytes:
    """The next `count` bytes."""
    parts = []
    while count:
        part = os.read(fd, min(count, 2**20))
        if not part:
            raise Closed("the stream ended")
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def encode(value: Any, handle: Callable[[Any], int]) -> Any:
    """A value as JSON: plain values by content, subclasses as their plain base, anything else by `handle(value)`."""
    if value is None or isinstance(value, (bool, float, str)):
        return value
    if isinstance(value, type) and value in BUILT_IN:
        return {"builtin": BUILT_IN[value]}
    if isinstance(value, int):  # decimal digits of long integers are slow and limited, hexadecimal ones are not
        return value if -(2**63) <= value < 2**63 else {"int": hex(value)}
    if isinstance(value, list):
        return [encode(item, handle) for item in value]
    if isinstance(value, tuple):
        return {"tuple": [encode(item, handle) for item in value]}
    if isinstance(value, dict):
        return {"dict": [[encode(key, handle), encode(item, handle)] for key, item in value.items()]}
    if isinstance(value, frozenset):
        return {"frozenset": [encode(item, handle) for item in value]}
    if isinstance(value, SETS):  # views of a dictionary compare as sets do
        return {"set": [encode(item, handle) for item in value]}
    if isinstance(value, (bytes, bytearray)):
        return {"bytes": bytes(value).hex()}
    if isinstance(value, complex):
        return {"complex": [value.real, value.imag]}
    if isinstance(value, range):
        return {"range": [value.start, value.stop, value.step]}
    name = type(value).__module__, type(value).__qualname__
    if name in STANDARD:
        return {"standard": [*name, encode(STANDARD[name][0](value), handle)]}
    return {"handle": handle(value)}


def decode(data: Any, resolve: Callable[[int], Any]) -> Any:
    """The value that `encode` wrote, of exactly the built-in types, or what `resolve` gives for a handle.

    Raises `Closed` on JSON that `encode` does not write.
    """
    if data is None or isinstance(data, (bool, int, float, str)):
        return data
    if isinstance(data, list):
        return [decode(item, resolve) for item in data]
    try:
        ((kind, content),) = data.items()
        if kind == "handle":
            return resolve(int(content))
        return READERS[kind](content, resolve)
    except (KeyError, TypeError, ValueError, ArithmeticError) as error:
        raise Closed("not a value") from error


def standard(content: Any, resolve: Callable[[int], Any]) -> Any:
    """A value of the standard library, whose module is only imported now."""
    module, name, parts = content
    make = STANDARD[module, name][1]
    return make(vars(importlib.import_module(module))[name], *decode(parts, resolve))


READERS: dict[str, Callable[[Any, Callable[[int], Any]], Any]] = {
    "builtin": lambda content, _: {name: value for value, name in BUILT_IN.items()}[content],
    "int": lambda content, _: int(content, 16),
    "tuple": lambda content, resolve: tuple(decode(item, resolve) for item in content),
    "dict": lambda content, resolve: {decode(key, resolve): decode(item, resolve) for key, item in content},
    "set": lambda content, resolve: {decode(item, resolve) for item in content},
    "frozenset": lambda content, resolve: frozenset(decode(item, resolve) for item in content),
    "bytes": lambda content, _: bytes.fromhex(content),
    "complex": lambda content, _: complex(*content),
    "range": lambda content, _: range(*content),
    "standard": standard,
}
