"""The process that holds the completion's program: it loads it, and calls what the tests ask for."""

from __future__ import annotations

import itertools
import operator
import sys
import types
from collections.abc import Callable
from typing import Any

from .wire import Closed, decode, encode, receive, send

MODULE = 0  # the handle of the program itself
LONGEST_ITERATION = 1_000_000


def step(iterator: Any) -> tuple[bool, Any]:
    """(Whether there was another item, the item)."""
    try:
        return True, next(iterator)
    except StopIteration:
        return False, None


OPERATIONS: dict[str, Callable[..., Any]] = {  # what the tests may do with an object beside calling it
    **{"len": len, "bool": bool, "str": str, "repr": repr, "next": step},
    **{"getitem": operator.getitem, "setitem": operator.setitem, "delitem": operator.delitem},
}


class Server:
    """Answers requests about the program's objects; everything it says is the program's own word and no verdict."""

    def __init__(self) -> None:
        self.module = types.ModuleType("program")
        self.objects: list[Any] = [self.module]

    def keep(self, value: Any) -> int:
        """The handle of an object that has no plain form; the same object has the same handle."""
        for handle, known in enumerate(self.objects):
            if known is value:
                return handle
        self.objects.append(value)
        return len(self.objects) - 1

    def load(self, program: str) -> None:
        """Run the program's top level; `__name__` is not "__main__"."""
        sys.modules["program"] = self.module  # where dataclasses and enums look for their module
        exec(compile(program, "<program>", "exec", dont_inherit=True), self.module.__dict__)

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Carry out one request: an attribute read or written, a call, an iteration, an operation."""
        target = self.objects[request["of"]]
        match request["do"]:
            case "get":
                return {"value": encode(getattr(target, request["name"]), self.keep)}
            case "set":
                setattr(target, request["name"], decode(request["value"], self.objects.__getitem__))
                return {"value": None}
            case "iterate":
                return {"value": encode(list(itertools.islice(target, LONGEST_ITERATION)), self.keep)}
            case "operate":
                arguments = decode(request["arguments"], self.objects.__getitem__)
                return {"value": encode(OPERATIONS[request["name"]](target, *arguments), self.keep)}
            case "call":
                arguments = decode(request["arguments"], self.objects.__getitem__)
                keywords = decode(request["keywords"], self.objects.__getitem__)
                value = encode(target(*arguments, **keywords), self.keep)
                after = encode(arguments, self.keep)
                return {"value": value} if after == request["arguments"] else {"value": value, "arguments": after}
        raise Closed(f"no request {request['do']!r}")


def serve(program: str, requests: int, replies: int) -> None:
    """Load the program, then answer until the tests hang up."""
    server = Server()
    try:
        server.load(program)
    except BaseException as error:  # noqa: BLE001  a program may raise anything, SystemExit too
        send(replies, described(error))
    else:
        send(replies, {"value": None})
    while True:
        request = receive(requests)
        try:
            reply = server.answer(request)
        except BaseException as error:  # noqa: BLE001
            reply = described(error)
        send(replies, reply)


def described(error: BaseException) -> dict[str, Any]:
    """An exception as a reply: the name of its nearest built-in class, and its text."""
    names = [cls.__name__ for cls in type(error).__mro__ if cls.__module__ == "builtins"]
    try:
        text = str(error)[:300]
    except BaseException:  # noqa: BLE001  its __str__ is the program's
        text = ""
    return {"raised": [names[0], type(error).__name__[:300], text]}
