"""Programs: taken from a completion, and run with the row's tests in a sandbox."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from ..extract import after_thinking, answered
from ..grade import Grade, UnreadableGold
from ..sandbox import Job, Limits, Verdict, find_sandbox, run_job
from ..sandbox.inside.tests import Unusable, parsed, under_test
from .asking import why_nothing
from .calls import PRELUDE, call_tests, function_name
from .cases import Pairs, case_of, find_pairs
from .program import after_imports, defined, find_program, whole_program

LONGEST_PROGRAM = LONGEST_TESTS = 500_000  # characters
FIRST, NEXT = 4, 32  # cases in a sandbox: most wrong programs fail one of the first
LONGEST_CASES = 3_500_000  # characters in a sandbox, as they are one message
TAIL = 1_000_000  # characters of a completion, from its end, that are read


def grade_code(completion: str, row: Any, limits: Limits = Limits()) -> Grade:  # noqa: B008  frozen
    """1 if the completion's program passes the row's tests in the sandbox.

    row: its columns. HumanEval: "prompt", "test", "entry_point". MBPP: "test_list" and, where they are there,
    "test_setup_code" or "test_imports". A user's own: "tests", a text or a list, and "entry_point" where the tests call
    `check(candidate)`. Pairs of inputs and outputs: `cases.find_pairs`. Raises UserError where no sandbox works,
    SandboxError where one fails.
    """
    try:
        job = read_job(completion, row)
    except UnreadableGold as error:
        return Grade(None, None, f"unreadable gold: {error}")
    if not job.program.strip():
        return Grade(0.0, None, "no program")
    if len(job.program) > LONGEST_PROGRAM:
        return Grade(0.0, None, f"a program of {len(job.program)} characters")
    verdict, before = Verdict(True, ""), 0
    for part in parts(job):
        verdict = run_job(part, find_sandbox(), limits)
        if not verdict.passed:
            break
        before += len(part.cases)
    return graded(job, verdict, f" (after {before} others)" if before else "")


def parts(job: Job) -> Iterator[Job]:
    """The job, its cases some at a time."""
    if not job.cases:
        yield job
    first, size = 0, FIRST
    while first < len(job.cases):
        last, length = first, 0
        while last < min(first + size, len(job.cases)):
            length += sum(len(json.dumps(text)) for text in job.cases[last])
            if length > LONGEST_CASES and last > first:
                break
            last += 1
        yield replace(job, cases=job.cases[first:last])
        first, size = last, NEXT


def graded(job: Job, verdict: Verdict, after: str = "") -> Grade:
    """A verdict as a grade."""
    if verdict.passed is None:
        return Grade(None, None, f"unreadable gold: {verdict.reason}")
    return Grade(float(verdict.passed), job.program, verdict.reason + after if verdict.reason else "all tests passed")


def read_job(completion: str, row: Any) -> Job:
    """The program of a completion with the tests of its row; raises UnreadableGold where the row has none."""
    if not isinstance(row, Mapping):
        raise UnreadableGold("a row with tests is needed")
    text = answered(after_thinking(completion)[-TAIL:])
    pairs = find_pairs(row)
    if pairs is not None:
        return job_of_pairs(text, pairs)
    if row.get("entry_point"):
        entry = str(row["entry_point"])
        prompt = row["prompt"] if isinstance(row.get("prompt"), str) else ""  # chat messages hold no code to rely on
        tests = joined(row["test"] if row.get("test") else row.get("tests"))
        tree = read_tests(tests)
        if entry != "check" and "check" in under_test(read_tests(f"{tests}\ncheck")):
            raise UnreadableGold("the tests define no check(candidate), which a row with an entry_point needs")
        asking(tree, entry)
        trusted = prompt if parses(prompt) else ""
        return Job(whole_program(text, prompt, entry), f"{tests}\ncheck({entry})", trusted, entry)
    tests = joined(row["test_list"] if row.get("test_list") else row.get("tests"))
    setup = joined(row.get("test_imports") or [], "") + str(row.get("test_setup_code") or "").replace("\r", "")
    whole = f"{setup}\n{tests}" if setup.strip() else tests
    tree = read_tests(whole)
    asking(tree)
    return Job(find_program(text, under_test(tree)), whole)


def job_of_pairs(text: str, pairs: Pairs) -> Job:
    """The program of a completion with pairs: calls of a function, a class Solution's method too, or standard input."""
    if not pairs.function:
        cases = tuple(case_of(given, wanted) for given, wanted in zip(pairs.inputs, pairs.outputs, strict=True))
        longest = max(len(json.dumps(part)) for case in cases for part in case)
        if longest > LONGEST_CASES:
            raise UnreadableGold(f"a test of {longest} characters")
        return Job(find_program(text), "", cases=cases)
    name = function_name(pairs.function)
    program = find_program(text, {name, "Solution"})
    tests = call_tests(pairs, f"Solution().{name}" if name not in defined(program) else name)
    return Job(after_imports(program, PRELUDE), tests)


def asking(tests: ast.Module, entry: str = "") -> None:
    """Raise UnreadableGold where the tests ask nothing."""
    reason = why_nothing(tests, entry)
    if reason:
        raise UnreadableGold(reason)


def why_unreadable(row: Mapping[str, Any]) -> str:
    """Why no program can be graded by a row, "" where one can; nothing is run."""
    try:
        read_job("", row)
    except UnreadableGold as error:
        return str(error)
    return ""


def read_tests(source: str) -> ast.Module:
    """Tests as a tree; raises UnreadableGold where they are not Python."""
    try:
        return parsed(source, "the tests")
    except Unusable as error:
        raise UnreadableGold(str(error)) from error


def joined(tests: Any, missing: str | None = None) -> str:
    """Tests as one source."""
    source = "\n".join(map(str, tests)) if isinstance(tests, (list, tuple)) else str(tests or "")
    if len(source) > LONGEST_TESTS:
        raise UnreadableGold(f"tests of {len(source)} characters")
    if not source.strip():
        if missing is None:
            raise UnreadableGold("there are no tests")
        return missing
    return source.replace("\r", "") + "\n"


def parses(source: str) -> bool:
    """Whether it is Python."""
    try:
        ast.parse(source)
    except (SyntaxError, ValueError):
        return False
    return True
