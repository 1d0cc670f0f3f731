"""Programs: taken from a completion, and run with the row's tests in a sandbox."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any

from .extract import after_thinking, answered
from .grade import Grade, UnreadableGold
from .program import find_program, whole_program
from .sandbox import Job, Limits, Verdict, find_sandbox, run_job
from .sandbox.inside.tests import Unusable, parsed, under_test

LONGEST_PROGRAM = LONGEST_TESTS = 500_000  # characters
TAIL = 1_000_000  # characters of a completion, from its end, that are read


def grade_code(completion: str, row: Any, limits: Limits = Limits()) -> Grade:  # noqa: B008  frozen
    """1 if the completion's program passes the row's tests in the sandbox.

    row: its columns. HumanEval: "prompt", "test", "entry_point". MBPP: "test_list" and, where they are there,
    "test_setup_code" or "test_imports". A user's own: "tests", a text or a list, and "entry_point" where the tests call
    `check(candidate)`. Raises UserError where no sandbox works, SandboxError where one fails.
    """
    try:
        job = read_job(completion, row)
    except UnreadableGold as error:
        return Grade(None, None, f"unreadable gold: {error}")
    if not job.program.strip():
        return Grade(0.0, None, "no program")
    if len(job.program) > LONGEST_PROGRAM:
        return Grade(0.0, None, f"a program of {len(job.program)} characters")
    return graded(job, run_job(job, find_sandbox(), limits))


def graded(job: Job, verdict: Verdict) -> Grade:
    """A verdict as a grade."""
    if verdict.passed is None:
        return Grade(None, None, f"unreadable gold: {verdict.reason}")
    return Grade(float(verdict.passed), job.program, verdict.reason or "all tests passed")


def read_job(completion: str, row: Any) -> Job:
    """The program of a completion with the tests of its row; raises UnreadableGold where the row has none."""
    if not isinstance(row, Mapping):
        raise UnreadableGold("a row with tests is needed")
    text = answered(after_thinking(completion)[-TAIL:])
    if "entry_point" in row:
        entry = str(row["entry_point"])
        prompt = row["prompt"] if isinstance(row.get("prompt"), str) else ""  # chat messages hold no code to rely on
        tests = joined(row["test"] if "test" in row else row.get("tests"))
        if entry != "check" and "check" in under_test(read_tests(f"{tests}\ncheck")):
            raise UnreadableGold("the tests define no check(candidate), which a row with an entry_point needs")
        trusted = prompt if parses(prompt) else ""
        return Job(whole_program(text, prompt, entry), f"{tests}\ncheck({entry})", trusted, entry)
    tests = joined(row["test_list"] if "test_list" in row else row.get("tests"))
    setup = joined(row.get("test_imports") or [], "") + str(row.get("test_setup_code") or "").replace("\r", "")
    whole = f"{setup}\n{tests}" if setup.strip() else tests
    return Job(find_program(text, under_test(read_tests(whole))), whole)


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
