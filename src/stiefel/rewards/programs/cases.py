"""Tests as code benchmarks give them, pairs of an input and an output: a row → cases of standard input, or of calls."""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..grade import UnreadableGold

TEST_COLUMNS = ("tests", "test_list", "test", "input_output")  # columns that may hold pairs
INPUTS, OUTPUTS = ("inputs", "input", "stdin"), ("outputs", "output", "expected_output", "stdout")
FUNCTION = ("fn_name", "func_name", "function_name")
CASE_COLUMNS = (*TEST_COLUMNS, "inputs", "outputs", "entry_point", "metadata", *FUNCTION)  # what a row is graded by
LONGEST = 20_000_000  # characters of a row's tests as JSON


@dataclass(frozen=True)
class Pairs:
    """Inputs with their outputs, as they are written, and the function that is called with them ("": a program)."""

    inputs: tuple[Any, ...]
    outputs: tuple[Any, ...]
    function: str = ""


def find_pairs(row: Mapping[str, Any]) -> Pairs | None:
    """The pairs of a row; None where its tests are of another kind. Raises UnreadableGold for pairs that are none."""
    for name in TEST_COLUMNS:
        table = structured(row.get(name))
        if isinstance(table, Mapping):
            return pairs_of(table, named(table) or named(row))
        if isinstance(table, list) and table and all(isinstance(each, Mapping) for each in table):
            return listed(table, named(row))
    inputs, outputs = one_of(row, INPUTS[:1]), one_of(row, OUTPUTS[:1])
    if inputs is not None and outputs is not None:
        return pairs_of({"inputs": structured(inputs, inputs), "outputs": structured(outputs, outputs)}, named(row))
    return None


def structured(value: Any, otherwise: Any = None) -> Any:
    """A table or a list as it is, or read from its text; texts in a list that are tables themselves are read too."""
    if isinstance(value, str) and value.lstrip()[:1] in ("[", "{"):
        if len(value) > LONGEST:
            raise UnreadableGold(f"tests of {len(value)} characters")
        value = read(value)
    if isinstance(value, tuple):
        value = list(value)
    if isinstance(value, list) and all(isinstance(each, str) and each.lstrip()[:1] == "{" for each in value):
        value = [read(each) for each in value]
    return value if isinstance(value, Mapping | list) else otherwise


def read(text: str) -> Any:
    """What a text of JSON, or of Python's plain values, says; None where it is neither."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    try:
        return ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None


def one_of(table: Mapping[str, Any], names: Sequence[str]) -> Any:
    """The value of the first of the names that is there."""
    return next((table[name] for name in names if table.get(name) is not None), None)


def named(table: Mapping[str, Any]) -> str:
    """The function that the pairs call, where one is named, in `metadata` too."""
    metadata = table.get("metadata")
    known = structured(metadata, metadata)
    for place in (table, known if isinstance(known, Mapping) else {}):
        for name in FUNCTION:
            if isinstance(place.get(name), str) and place[name].strip():
                return str(place[name]).strip()
    return ""


def pairs_of(table: Mapping[str, Any], function: str) -> Pairs:
    """{"inputs": […], "outputs": […]}; a single input and output that are no lists are one pair."""
    inputs, outputs = one_of(table, INPUTS), one_of(table, OUTPUTS)
    if inputs is None or outputs is None:
        raise UnreadableGold(f"the tests have no inputs and outputs: {', '.join(map(str, table)) or 'nothing'}")
    if not isinstance(inputs, list | tuple) and not isinstance(outputs, list | tuple):
        inputs, outputs = [inputs], [outputs]
    if not isinstance(inputs, list | tuple) or not isinstance(outputs, list | tuple):
        raise UnreadableGold("the tests' inputs and outputs are not both lists")
    if len(inputs) != len(outputs):
        raise UnreadableGold(f"the tests have {len(inputs)} inputs and {len(outputs)} outputs")
    return checked(Pairs(tuple(inputs), tuple(outputs), function))


def listed(tables: list[Mapping[str, Any]], function: str) -> Pairs:
    """[{"input": …, "output": …}, …]; `testtype` may say that a function is called."""
    inputs, outputs = [], []
    for number, table in enumerate(tables, start=1):
        given, wanted = one_of(table, INPUTS[::-1]), one_of(table, OUTPUTS[::-1])
        if given is None or wanted is None:
            raise UnreadableGold(f"test {number} has no {'input' if given is None else 'output'}")
        inputs.append(given)
        outputs.append(wanted)
    functions = {named(table) for table in tables} - {""}
    called = function or (functions.pop() if len(functions) == 1 else "")
    kinds = {table.get("testtype") for table in tables}
    if kinds == {"stdin"}:
        called = ""
    elif "functional" in kinds and not called:
        raise UnreadableGold("the tests call a function, and the row does not name it (fn_name)")
    return checked(Pairs(tuple(inputs), tuple(outputs), called))


def checked(pairs: Pairs) -> Pairs:
    """The pairs, if they ask anything: there are some, and an output that is not empty."""
    if not pairs.inputs:
        raise UnreadableGold("there are no tests")
    if not pairs.function and not any(text_of(wanted).strip() for wanted in pairs.outputs):
        raise UnreadableGold("the tests ask for no output")
    return pairs


def text_of(value: Any) -> str:
    """What a program reads or prints: a text as it is, lines joined, a number as it is written."""
    if isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, list | tuple) and all(isinstance(line, str | int | float) for line in value):
        return "".join(f"{line}\n" for line in value)
    raise UnreadableGold(
        f"{str(value)[:100]} is neither a text nor lines for a program; for a function's arguments, fn_name names it"
    )


def case_of(given: Any, wanted: Any) -> tuple[str, str]:
    """Standard input and what is to be printed."""
    return text_of(given).replace("\r\n", "\n"), text_of(wanted)
