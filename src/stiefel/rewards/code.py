"""Programs: taken from a completion, and run with the row's tests in a sandbox."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from typing import Any

from .extract import after_thinking
from .grade import Grade, UnreadableGold
from .sandbox import Job, Limits, Verdict, find_sandbox, run_job

FENCE = re.compile(r"^[ \t]*(`{3,}|~{3,})[ \t]*([\w+-]*)[^\n]*\n(.*?)(?:^[ \t]*\1|\Z)", re.MULTILINE | re.DOTALL)
LONGEST_PROGRAM = LONGEST_TESTS = 500_000  # characters
PYTHON = {"", "python", "py", "python3"}
MARKED = re.compile(r"\[(?:BEGIN|PYTHON)\]\s*\n?(.*?)(?:\[(?:DONE|/PYTHON)\]|\Z)", re.DOTALL)
# where a base model that continues a function starts something else (Chen et al. 2021, arXiv:2107.03374, §3.1 and the
# stop sequences of its evaluation): the next text at the margin
NEXT_TOP_LEVEL = re.compile(r"\n(?=[^\s#)\]}])")


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
    text = after_thinking(completion)
    if "entry_point" in row:
        entry = str(row["entry_point"])
        prompt = row["prompt"] if isinstance(row.get("prompt"), str) else ""  # chat messages hold no code to rely on
        tests = joined(row["test"] if "test" in row else row.get("tests"))
        trusted = prompt if parses(prompt) else ""
        return Job(whole_program(text, prompt, entry), f"{tests}\ncheck({entry})", trusted, entry)
    tests = joined(row["test_list"] if "test_list" in row else row.get("tests"))
    setup = joined(row.get("test_imports") or [], "") + str(row.get("test_setup_code") or "").replace("\r", "")
    return Job(find_program(text), f"{setup}\n{tests}" if setup.strip() else tests)


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


def find_program(text: str, entry: str = "") -> str:
    """The completion's program: the last fenced block, that defines `entry` where one does; else `[BEGIN]…[DONE]`; else
    all of the text.
    """
    blocks = [block for _, language, block in FENCE.findall(text) if language.lower() in PYTHON]
    if blocks:
        defining = [block for block in blocks if entry and re.search(rf"^\s*def\s+{re.escape(entry)}\b", block, re.M)]
        return dedented((defining or blocks)[-1])
    marked: list[str] = MARKED.findall(text)
    return marked[-1] if marked else text


def whole_program(text: str, prompt: str, entry: str) -> str:
    """A program that defines `entry`: the completion's own, after the prompt's imports and helpers, or the prompt with
    the body that the completion continues it with, up to the next text at the margin.
    """
    program = find_program(text, entry)
    if re.search(rf"^(?:async\s+)?def\s+{re.escape(entry)}\b", program, re.M):
        return f"{before_function(prompt, entry)}\n{program}"
    body = NEXT_TOP_LEVEL.split(f"\n{program}" if not program.startswith("\n") else program, maxsplit=1)[0]
    return f"{prompt}{body.removeprefix(chr(10)) if prompt.endswith(chr(10)) else body}\n"


def before_function(prompt: str, entry: str) -> str:
    """What a prompt has before the function to write: imports and helpers."""
    found = re.search(rf"^(?:async\s+)?def\s+{re.escape(entry)}\b", prompt, re.M)
    return prompt[: found.start()] if found else ""


def dedented(block: str) -> str:
    """A block that a list item indents, at the margin; a function's body, which has an indent of its own, as it is."""
    lines = [line for line in block.splitlines() if line.strip()]
    if not lines or not re.match(r"\s+(?:def|class|import|from|@)", lines[0]):
        return block
    indent = min(len(line) - len(line.lstrip()) for line in lines)
    return "\n".join(line[indent:] for line in block.splitlines())


def parses(source: str) -> bool:
    """Whether it is Python."""
    try:
        ast.parse(source)
    except (SyntaxError, ValueError):
        return False
    return True
