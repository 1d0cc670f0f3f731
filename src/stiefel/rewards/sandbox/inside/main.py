"""The sandbox's first process: it splits into the program's process and its own, which runs the tests."""

from __future__ import annotations

import os
import signal
import time
from typing import Any, NoReturn

from .cases import judged, prepare
from .confine import confine, hide
from .program import serve
from .tests import Connection, Unusable, run
from .wire import Closed, receive, send

LONGEST_REASON = 1_000  # characters; a test's message may quote what the program returned


def main() -> NoReturn:
    """Messages in on 0: the configuration with the program, then the tests. One message out on 1: the verdict.

    The program's process is split off before the tests have arrived, so its memory has never held them; it has
    neither of the two descriptors, and as this process is the first of its PID namespace and not dumpable, the
    program can neither signal nor read it. Whatever it does, it cannot write a verdict.
    """
    os.umask(0o077)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the first process of a namespace gets only signals it handles
    config = receive(0)
    hide()
    if config["runs"]:
        judge_cases(config)
    (asked, ask), (told, tell) = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        hold_program(config, asked, tell)
    os.close(asked)
    os.close(tell)
    job = receive(0)
    verdict = os.dup(1)
    silence()
    confine(config)
    connection = Connection(ask, told)
    try:
        reason = run(job, connection)
        passed: bool | None = not reason and not connection.lost
        send(verdict, {"passed": passed, "reason": (reason or connection.lost)[:LONGEST_REASON]})
    except Unusable as error:
        send(verdict, {"passed": None, "reason": str(error)[:LONGEST_REASON]})
    except Closed as error:
        send(verdict, {"passed": False, "reason": f"the program {fate(child)}: {error}"})
    os._exit(0)  # and with the first process of the namespace, all others


def judge_cases(config: dict[str, Any]) -> NoReturn:
    """As `main`, for a program that reads standard input: as many processes of it as there are cases, before these
    have arrived; what each prints is all that it says.
    """
    runs = [prepare(config) for _ in range(config["runs"])]
    job = receive(0)
    verdict = os.dup(1)
    silence()
    confine(config)
    reason = judged(runs, job["cases"])
    send(verdict, {"passed": not reason, "reason": reason[:LONGEST_REASON]})
    os._exit(0)


def hold_program(config: dict[str, Any], requests: int, replies: int) -> NoReturn:
    """The child: nothing open but the two pipes, confined, then the program."""
    silence()
    start = 3
    for kept in sorted((requests, replies)):
        os.closerange(start, kept)
        start = kept + 1
    os.closerange(start, 4096)
    confine(config)
    try:
        serve(config["program"], requests, replies)
    except Closed:
        os._exit(0)
    raise AssertionError("serve ends with the connection")


def silence() -> None:
    """Standard input is empty, and what is printed goes nowhere."""
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)


def fate(child: int) -> str:
    """How the program's process ended, or that it has not."""
    for _ in range(100):
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            code = os.waitstatus_to_exitcode(status)
            return f"left with exit status {code}" if code >= 0 else f"was killed by {signal.Signals(-code).name}"
        time.sleep(0.002)
    return "broke the protocol"
