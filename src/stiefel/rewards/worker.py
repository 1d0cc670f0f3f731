"""A worker process of the pool, `python -m stiefel.rewards.worker`: graders, completions and golds in, grades out."""

from __future__ import annotations

import logging
import os
import resource
import signal
import sys
import traceback
import warnings
from collections.abc import Callable
from typing import Any, NoReturn

from .grade import Grade, UnreadableGold
from .mathematics.math import gold_text, grade_gsm8k, grade_math, read_gold
from .sandbox.inside.wire import Closed, receive, send

GRADERS: dict[str, Callable[[str, Any, bool], Grade]] = {"math": grade_math, "gsm8k": grade_gsm8k}


class OutOfTime(BaseException):
    """The alarm rang; not an Exception, so that no library's `except Exception` swallows it."""


def main() -> NoReturn:
    """Serve until the parent closes the pipe. argv: seconds an answer may take, bytes of memory.

    Three limits in a row: the alarm interrupts Python code, the parent kills what holds the interpreter, and the
    processor's clock kills a worker whose parent is gone.
    """
    seconds, memory = float(sys.argv[1]), int(sys.argv[2])
    out = os.dup(1)
    os.dup2(2, 1)  # what a library prints is not taken for a grade
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # not plain numbers: SymPy is to be loaded, and found to work, before an answer is timed
    assert grade_math("\\boxed{\\frac{\\sqrt{4}}{4}}", "0.5").score == 1.0, (
        "math-verify and its parser do not fit each other"
    )
    signal.signal(signal.SIGALRM, ring)
    send(out, "ready")
    while True:
        try:
            requests = receive(0)
        except Closed:
            os._exit(0)
        for grader, completion, gold, truncated in requests:
            signal.setitimer(signal.ITIMER_VIRTUAL, 2 * seconds + 5)  # SIGVTALRM kills
            send(out, answer(grader, completion, gold, truncated, seconds))


def ring(number: int, frame: object) -> None:
    """The alarm."""
    raise OutOfTime


def answer(grader: str, completion: str | None, gold: Any, truncated: bool, seconds: float) -> dict[str, Any]:
    """The reply: a grade, "time" where the alarm rang, or "failed" with the traceback.

    No completion: the question is whether the gold can be read in time.
    """
    try:
        signal.setitimer(signal.ITIMER_REAL, seconds)
        try:
            grade = readable(gold) if completion is None else GRADERS[grader](completion, gold, truncated)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    except OutOfTime:
        return {"time": True}
    except (RecursionError, MemoryError) as error:
        grade = Grade(0.0, None, f"too large or too deep to read: {type(error).__name__}")
    except Exception:  # noqa: BLE001  the parent raises it
        return {"failed": traceback.format_exc()}
    return {"grade": [grade.score, grade.extracted, grade.reason]}


def readable(gold: Any) -> Grade:
    """Score 1 if the gold can be read, else None."""
    try:
        read_gold(gold_text(gold))
    except UnreadableGold as error:
        return Grade(None, None, f"unreadable gold: {error}")
    return Grade(1.0, None, "readable")


if __name__ == "__main__":
    main()
