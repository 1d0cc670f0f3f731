"""Whether tests ask anything of a program, found without running one."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterator

Defined = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
ENDING = {"exit", "quit", "_exit", "fail"}


def why_nothing(tests: ast.Module, entry: str = "") -> str:
    """Why no program could fail these tests, "" where one can.

    They must use a name that is not their own outside of a bare `assert name`, in code that is run, and check
    something: an assertion that is not always true, a `raise`, an exit. entry: `check(entry)` follows them.
    """
    run = list(executed(tests, {"check"} if entry else set()))
    own = {name for node in ast.walk(tests) for name in bound(node)}
    idle = {id(name) for node in run for name in unasked(node)}
    used = {node.id for node in run if isinstance(node, ast.Name) and id(node) not in idle}
    foreign = used - own - vars(builtins).keys()
    calls = [node.func for node in run if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)]
    called = {function.id for function in calls if id(function) not in idle}
    if entry:
        candidates = {argument.arg for node in tests.body if isinstance(node, ast.FunctionDef) and node.name == "check"
                      for argument in node.args.args}  # fmt: skip
        foreign = (foreign & {entry}) | (used & candidates)
    if not foreign and (entry or not called - own):
        return "the tests ask nothing of the program"
    if not any(map(checks, run)):
        return "the tests check nothing: whatever the program does, they pass"
    return ""


def executed(tests: ast.Module, called: set[str]) -> Iterator[ast.AST]:
    """The nodes that are run: what stands at the margin, and the functions and classes whose names are used there."""
    waiting: dict[str, list[Defined]] = {}
    seen: set[int] = set()

    def visit(node: ast.AST) -> Iterator[ast.AST]:
        if isinstance(node, Defined) and id(node) not in seen:
            if node.name not in called:
                waiting.setdefault(node.name, []).append(node)
                for decorator in node.decorator_list:
                    yield from visit(decorator)
                return
            seen.add(id(node))
        yield node
        if isinstance(node, ast.Name):
            called.add(node.id)
        elif isinstance(node, ast.Attribute):
            called.add(node.attr)
        for child in ast.iter_child_nodes(node):
            yield from visit(child)

    yield from visit(tests)
    while ready := [name for name in waiting if name in called]:
        for name in ready:
            for node in waiting.pop(name):
                yield from visit(node)


def bound(node: ast.AST) -> list[str]:
    """The names that a node defines."""
    match node:
        case ast.Name(id=name, ctx=ast.Store()) | ast.arg(arg=name):
            return [name]
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            return [name]
        case ast.ExceptHandler(name=str(name)):
            return [name]
        case ast.alias(name=name, asname=alias):
            return [alias or name.partition(".")[0]]
    return []


def unasked(node: ast.AST) -> Iterator[ast.Name]:
    """Names that are only looked at: `f`, `assert f`, `assert callable(f)`, `assert f is not None`."""
    match node:
        case ast.Expr(value=ast.Name() as name) | ast.Assert(test=ast.Name() as name):
            yield name
        case ast.Assert(test=ast.Call(func=ast.Name(id="callable") as function, args=[ast.Name() as name])):
            yield from (function, name)
        case ast.Assert(test=ast.Compare(left=ast.Name() as name, comparators=[ast.Constant(value=None)])):
            yield name


def checks(node: ast.AST) -> bool:
    """Whether a program can fail here."""
    match node:
        case ast.Assert(test=ast.Constant(value=value)):
            return not value
        case ast.Assert(test=ast.Tuple(elts=[_, *_])):
            return False  # `assert (f(1) == 2, "message")` is always true
        case ast.Assert() | ast.Raise():
            return True
        case ast.Call(func=ast.Name(id=name)) | ast.Call(func=ast.Attribute(attr=name)):
            return name in ENDING or name.lower().startswith("assert")
    return False
