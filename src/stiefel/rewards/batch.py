"""Many completions graded at once, each piece of content once."""

from __future__ import annotations

import atexit
import hashlib
import json
import os
import threading
import traceback
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import Any

from ..errors import UserError
from .grade import OUT_OF_TIME, Grade, Grader, GraderFailure
from .pool import Outcome, Pair, Pool
from .programs.code import grade_code
from .sandbox import SandboxError, find_sandbox

CACHED = 200_000  # grades remembered


@dataclass(frozen=True)
class BatchGrader:
    """A grader that is quicker, or only safe, on many completions at once; called with one, it is an ordinary one."""

    name: str
    many: Callable[[Sequence[Pair]], list[Outcome]]
    by_row: bool = False  # the gold is in the row's other columns, and not the answer
    of_truncated: bool = False  # it reads a completion that was cut off otherwise than one that ended

    def __call__(self, completion: str, answer: Any = "", **row: Any) -> Grade:
        """One completion's grade; raises GraderFailure."""
        return grade_all(self, [completion], [answer], [row])[0]


class Memory:
    """Grades by content, the least recently used forgotten."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.grades: OrderedDict[bytes, Grade] = OrderedDict()

    def get(self, key: bytes) -> Grade | None:
        """The grade of that content."""
        if key not in self.grades:
            return None
        self.grades.move_to_end(key)
        return self.grades[key]

    def put(self, key: bytes, grade: Grade) -> None:
        """Remember it."""
        self.grades[key] = grade
        if len(self.grades) > self.size:
            self.grades.popitem(last=False)


LOCK = threading.Lock()  # one batch at a time: the pool is as wide as the machine
MEMORY = Memory(CACHED)


def grade_all(
    grader: Grader,
    completions: Sequence[str],
    answers: Sequence[Any],
    rows: Sequence[Mapping[str, Any]] | None = None,
    truncated: Sequence[bool] | None = None,
) -> list[Grade]:
    """The grade of every completion against its answer, in order; equal content is graded once.

    rows: the other columns of each answer's row. truncated: which completions were cut off by a limit, for a grader
    that reads these otherwise. Raises GraderFailure, after all have been tried, where the grader itself failed on some.
    """
    rows = rows if rows is not None else [{}] * len(answers)
    triples = list(zip(completions, answers, rows, strict=True))
    if not isinstance(grader, BatchGrader):
        return checked([outcome_of(grader, *triple) for triple in triples])
    cut = truncated if truncated is not None and grader.of_truncated else [False] * len(triples)
    golds = [row if grader.by_row else answer for _, answer, row in triples]
    pairs: list[Pair] = [
        (completion, gold, True) if early else (completion, gold)
        for completion, gold, early in zip(completions, golds, cut, strict=True)
    ]
    with LOCK:
        keys = [content_key(grader.name, pair) for pair in pairs]
        outcomes: dict[bytes, Outcome] = {key: grade for key in keys if (grade := MEMORY.get(key)) is not None}
        missing = {key: pair for key, pair in zip(keys, pairs, strict=True) if key not in outcomes}
        for key, outcome in zip(missing, grader.many(list(missing.values())), strict=True):
            outcomes[key] = outcome
            if isinstance(outcome, Grade) and OUT_OF_TIME not in outcome.reason:
                MEMORY.put(key, outcome)
    return checked([outcomes[key] for key in keys])


def checked(outcomes: list[Outcome]) -> list[Grade]:
    """The grades; raises GraderFailure where some of the outcomes are none."""
    failures = [(number, outcome) for number, outcome in enumerate(outcomes) if isinstance(outcome, str)]
    grades = [outcome if isinstance(outcome, Grade) else None for outcome in outcomes]
    if failures:
        raise GraderFailure(failures, grades)
    return [grade for grade in grades if grade is not None]


def outcome_of(grader: Grader, completion: str, answer: Any, row: Mapping[str, Any]) -> Outcome:
    """One completion's grade by an ordinary function, or the traceback of its failure."""
    try:
        return grader(completion, answer, **row)
    except UserError:
        raise  # it says of itself what to do
    except Exception:  # noqa: BLE001  raised again, with the count, once all have been tried
        return traceback.format_exc()


def content_key(grader: str, pair: Pair) -> bytes:
    """A digest of everything that a grade depends on."""
    return hashlib.blake2b(json.dumps([grader, *pair], sort_keys=True, default=repr).encode(), digest_size=16).digest()


@cache
def default_pool(process: int) -> Pool:
    """The pool of this process; a fork gets one of its own."""
    pool = Pool()
    atexit.register(pool.close)
    return pool


def in_pool(name: str) -> BatchGrader:
    """The worker's grader of that name."""
    return BatchGrader(name, lambda pairs: default_pool(os.getpid()).grade(name, pairs), of_truncated=True)


def code_outcomes(pairs: Iterable[Pair]) -> list[Outcome]:
    """Programs side by side, as many as there are cores."""
    find_sandbox()  # raises here, once, where none works
    with ThreadPoolExecutor(min(os.cpu_count() or 1, 16)) as threads:
        return list(threads.map(code_outcome, pairs))


def code_outcome(pair: Pair) -> Outcome:
    """One program's grade, or why the sandbox failed."""
    try:
        return grade_code(pair[0], pair[1])
    except SandboxError as error:
        return str(error)


MATH, GSM8K, CODE = in_pool("math"), in_pool("gsm8k"), BatchGrader("code", code_outcomes, by_row=True)
