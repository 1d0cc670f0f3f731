"""The process that holds the tests: the program's objects are seen through its answers only, as plain values."""

from __future__ import annotations

import ast
import builtins
import importlib.util
import sys
from collections.abc import Iterator
from typing import Any

from .program import MODULE
from .wire import Closed, decode, encode, receive, send

LONGEST_TEXT = 300  # characters of what a program says of its exception


class Unusable(BaseException):
    """The tests themselves cannot be run: no program could be graded by them."""


class ProgramError(Exception):
    """The program raised an exception of a class of its own."""


class Connection:
    """The two pipes to the process that holds the program."""

    def __init__(self, requests: int, replies: int) -> None:
        self.requests, self.replies = requests, replies
        self.remotes: dict[int, Remote] = {}
        self.asked = 0  # requests
        self.lost = ""  # why nothing more can pass, kept for tests that catch everything

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """A request's reply; what the program raised is raised here, as an ordinary exception."""
        self.asked += 1
        try:
            send(self.requests, request)
        except Closed as error:
            self.lost = str(error)
            raise
        return self.reply()

    def reply(self) -> dict[str, Any]:
        """The next reply."""
        try:
            reply = receive(self.replies)
            if not isinstance(reply, dict) or not reply.keys() & {"raised", "value"}:
                raise Closed("not a reply")  # noqa: TRY301
        except Closed as error:
            self.lost = str(error)
            raise
        if "raised" in reply:
            base, name, text = (str(part)[:LONGEST_TEXT] for part in reply["raised"])
            known = vars(builtins).get(base)
            kind = known if isinstance(known, type) and issubclass(known, Exception) else ProgramError
            if issubclass(kind, (StopIteration, StopAsyncIteration)):
                kind = ProgramError  # `for got in map(solve, cases)` would end as if every case had been seen
            try:
                raised: Exception = kind(text if kind.__name__ == name else f"{name}: {text}")
            except TypeError:  # UnicodeDecodeError and its like want five arguments
                raised = ProgramError(f"{name}: {text}")
            raise raised
        return reply

    def resolve(self, handle: int) -> Remote:
        """The one stand-in of a handle."""
        return self.remotes.setdefault(handle, Remote(self, handle))

    def handle(self, value: Any) -> int:
        """The handle of a stand-in; the tests can pass nothing else that is not plain."""
        if type(value) is not Remote:
            raise Unusable(f"the tests pass a {type(value).__name__} to the program, which only takes plain values")
        return object.__getattribute__(value, "_handle")  # type: ignore[no-any-return]


class Remote:
    """A stand-in for an object of the program: equal to itself only, whatever else is done with it done by request.

    Whether it holds something is no question to it, which a program could always answer with yes: `in` iterates.
    """

    def __init__(self, connection: Connection, handle: int) -> None:
        object.__setattr__(self, "_connection", connection)
        object.__setattr__(self, "_handle", handle)

    def __getattr__(self, name: str) -> Any:
        return self._value({"do": "get", "name": name})

    def __setattr__(self, name: str, value: Any) -> None:
        self._value({"do": "set", "name": name, "value": encode(value, self._connection.handle)})

    def __iter__(self) -> Iterator[Any]:
        return iter(self._value({"do": "iterate"}))

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        """The call, carried out by the program."""
        connection = self._connection
        sent = encode(list(arguments), connection.handle)
        request = {"do": "call", "arguments": sent, "keywords": encode(keywords, connection.handle)}
        reply = connection.ask({"of": self._handle, **request})
        if "arguments" in reply:  # the program changed its arguments in place: so do we
            for ours, theirs in zip(arguments, decode(reply["arguments"], connection.resolve), strict=False):
                overwrite(ours, theirs)
        return decode(reply["value"], connection.resolve)

    def __len__(self) -> int:
        return self._operate("len")  # type: ignore[no-any-return]

    def __bool__(self) -> bool:
        return self._operate("bool")  # type: ignore[no-any-return]

    def __str__(self) -> str:
        return self._operate("str")  # type: ignore[no-any-return]

    def __repr__(self) -> str:
        return self._operate("repr")  # type: ignore[no-any-return]

    def __getitem__(self, key: Any) -> Any:
        return self._operate("getitem", key)

    def __setitem__(self, key: Any, value: Any) -> None:
        self._operate("setitem", key, value)

    def __delitem__(self, key: Any) -> None:
        self._operate("delitem", key)

    def __next__(self) -> Any:
        more, item = self._operate("next")
        if not more:
            raise StopIteration
        return item

    def _operate(self, name: str, *arguments: Any) -> Any:
        sent = encode(list(arguments), self._connection.handle)
        return self._value({"do": "operate", "name": name, "arguments": sent})

    def _value(self, request: dict[str, Any]) -> Any:
        connection = self._connection
        return decode(connection.ask({"of": self._handle, **request})["value"], connection.resolve)


def overwrite(ours: Any, theirs: Any) -> None:
    """Give a mutable argument the content that the program left in it."""
    if isinstance(ours, list) and isinstance(theirs, list):
        ours[:] = theirs
    elif (isinstance(ours, dict) and isinstance(theirs, dict)) or (isinstance(ours, set) and isinstance(theirs, set)):
        ours.clear()
        ours.update(theirs)


def parsed(source: str, what: str) -> ast.Module:
    """The source's tree; raises `Unusable` where it is not Python."""
    try:
        return ast.parse(source)
    except (SyntaxError, ValueError) as error:
        raise Unusable(f"{what} do not parse: {error}") from error


def under_test(tests: ast.Module) -> set[str]:
    """The names of the program that the tests use: what they read and neither define nor find built in.

    Where every function that they call is built in (`assert sum(10, 15) == 6`), the first one is the program's.
    """
    read, defined, called = set(), set(), []
    for node in ast.walk(tests):
        match node:
            case ast.Name(id=name, ctx=ast.Load()):
                read.add(name)
            case ast.Name(id=name) | ast.arg(arg=name):
                defined.add(name)
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name) | ast.ExceptHandler(name=str(name)):
                defined.add(name)
            case ast.alias(name=name, asname=alias):
                defined.add(alias or name.partition(".")[0])
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            called.append(node.func.id)
    names = {name for name in read - defined if name not in vars(builtins)}
    return names or set(called[:1])


def bind(connection: Connection, names: set[str], tests: ast.Module) -> dict[str, Any]:
    """The program's objects of those names; a module of the standard library that the tests read from is our own."""
    read_from = {n.value.id for n in ast.walk(tests) if isinstance(n, ast.Attribute) and isinstance(n.value, ast.Name)}
    module, found = connection.resolve(MODULE), {}
    for name in sorted(names):
        if name in read_from and name in sys.stdlib_module_names:
            found[name] = importlib.import_module(name)
            continue
        try:
            found[name] = getattr(module, name)
        except AttributeError as error:
            raise AssertionError(f"the program defines no {name!r}") from error
    return found


def require_imports(tests: ast.Module) -> None:
    """Raise `Unusable` where the tests import, outside of `try`, what is not there for any program to pass them."""
    tried = {id(each) for node in ast.walk(tests) if isinstance(node, ast.Try) for each in ast.walk(node)}
    for node in ast.walk(tests):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [node.module]
        for name in names:
            if id(node) not in tried and importlib.util.find_spec(name.partition(".")[0]) is None:
                raise Unusable(f"the tests import {name}, and the sandbox has the standard library alone")


def run(job: dict[str, Any], connection: Connection) -> str:
    """Run the tests to their end, an empty string, or to the first failure, its description.

    job: "trusted", source that is run here first (the helpers that a question's prompt defines); "tests"; "entry",
    the name under test, or "" to take the names from the tests. Raises `Unusable`, and `Closed` where the program
    is lost.
    """
    asked, objects = connection.asked, dict[str, Any]()
    try:
        trusted, tests = parsed(job["trusted"], "the definitions before the tests"), parsed(job["tests"], "the tests")
        require_imports(tests)
        namespace: dict[str, Any] = {"__name__": "tests"}
        try:
            exec(compile(trusted, "<trusted>", "exec"), namespace)
        except Exception as error:
            raise Unusable(f"the definitions before the tests raise {type(error).__name__}: {error}") from error
        try:
            connection.reply()
        except Exception as error:  # noqa: BLE001  a program may raise anything
            return f"the program raises {type(error).__name__} as it loads: {error}"
        names = {job["entry"]} if job["entry"] else under_test(tests) - namespace.keys()
        objects = bind(connection, names, tests)
        namespace.update(objects)
        asked = connection.asked
        exec(compile(tests, "<tests>", "exec"), namespace)
    except AssertionError as error:
        return f"failed{place(error, job['tests'])}" + (f": {text}" if (text := said(error)) else "")
    except SystemExit as error:
        if error.code not in (None, 0):
            return f"the tests leave with {error.code!r}{place(error, job['tests'])}"
    except Exception as error:  # noqa: BLE001
        return f"{type(error).__name__}{place(error, job['tests'])}: {said(error)}"
    if connection.asked == asked and all(type(value) is Remote for value in objects.values()):
        raise Unusable("the tests ask nothing of the program: a function that holds them has to be called")
    return ""


def said(error: BaseException) -> str:
    """An exception's text, which may quote an object of the program's."""
    try:
        return str(error)
    except Exception:  # noqa: BLE001  the program raised it
        return ""


def place(error: BaseException, tests: str) -> str:
    """The line of the tests where they stopped."""
    trace, line = error.__traceback__, 0
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == "<tests>":
            line = trace.tb_lineno
        trace = trace.tb_next
    return f" at {tests.splitlines()[line - 1].strip()[:200]!r}" if line else ""
