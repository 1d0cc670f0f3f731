"""The sandboxed process that holds reasoning-gym: it makes rows, and scores answers, each answer in a child of its own.

Rows are made here and not beside the trainer because some of the package's generators depend on the order of sets of
strings (here PYTHONHASHSEED is fixed) and others move numpy's global random state.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import sys
import time
from collections import deque
from dataclasses import dataclass
from typing import Any, NoReturn

from . import gym_rows
from .confine import PR_SET_PDEATHSIG, confine, drop_capabilities, hide, prctl
from .shapes import EVALUATED, PARSED, unearned, unfit
from .wire import Closed, receive, send

GROUP = 16  # answers that a child scores at most
LONGEST_REASON = 300  # characters of an exception's text
LONGEST_ANSWER = 64 * 1024  # bytes that a child may say


@dataclass
class Child:
    """A process that scores some answers, in order."""

    numbers: list[int]  # of those that it has not scored yet
    pid: int
    deadline: float
    said: bytes = b""


def main() -> NoReturn:
    """Messages in on 0: the configuration, then requests; replies out on 1, until the other side hangs up.

    This process runs reasoning-gym's code and nothing that a model wrote: that goes to children, which can neither
    signal this process nor read it, start others, nor write a file.
    """
    os.umask(0o077)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    out = os.dup(1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # some of the package's modules print
    config = receive(0)
    sys.path += config["paths"]
    hide()
    drop_capabilities()
    gym_rows.load()
    send(out, {"ready": True})
    while True:
        try:
            request = receive(0)
        except Closed:
            os._exit(0)
        match request["do"]:
            case "describe":
                send(out, gym_rows.described(request["name"], request["options"]))
            case "rows":
                for index in request["indices"]:
                    send(out, gym_rows.row(request["name"], request["options"], index))
            case "score":
                score_all(request["answers"], config, out)


def score_all(requests: list[dict[str, Any]], config: dict[str, Any], out: int) -> None:
    """Score answers, several children side by side; a reply each with its `number`, as they come.

    What kills its child, or takes too long, costs its own score; those that the child had before it wait for another.
    """
    waiting = deque(groups(requests, config["width"]))
    with selectors.DefaultSelector() as selector:
        while waiting or selector.get_map():
            while waiting and len(selector.get_map()) < config["width"]:
                numbers = waiting.popleft()
                pipe, pid = started([requests[number] for number in numbers], config)
                selector.register(pipe, selectors.EVENT_READ, Child(numbers, pid, time.monotonic() + config["seconds"]))
            soonest = min(key.data.deadline for key in selector.get_map().values())
            heard = {key.fd for key, _ in selector.select(max(0.0, soonest - time.monotonic()))}
            for key in list(selector.get_map().values()):
                child = key.data
                part = os.read(key.fd, LONGEST_ANSWER) if key.fd in heard else b""
                child.said += part
                *lines, child.said = child.said.split(b"\n")
                for line in lines[: len(child.numbers)]:
                    send(out, {"number": child.numbers.pop(0), **said(line)})
                    child.deadline = time.monotonic() + config["seconds"]
                late = child.deadline <= time.monotonic()
                if (key.fd in heard and not part) or late or len(child.said) > LONGEST_ANSWER:
                    selector.unregister(key.fd)
                    os.close(key.fd)
                    os.kill(child.pid, signal.SIGKILL)
                    _, status = os.waitpid(child.pid, 0)
                    if child.numbers:
                        send(out, {"number": child.numbers.pop(0), **({"late": True} if late else ended(status))})
                    if child.numbers:
                        waiting.appendleft(child.numbers)


def groups(requests: list[dict[str, Any]], width: int) -> list[list[int]]:
    """Which answers share a child: none with one that its scorer evaluates."""
    together: list[int] = []
    alone: list[list[int]] = []
    for number, request in enumerate(requests):
        if request["name"] in EVALUATED + PARSED:
            alone.append([number])
        else:
            together.append(number)
    size = max(1, min(GROUP, -(-len(together) // width)))
    return [*alone, *(together[first : first + size] for first in range(0, len(together), size))]


def started(requests: list[dict[str, Any]], config: dict[str, Any]) -> tuple[int, int]:
    """A child that scores answers, a line of JSON each: (the pipe that it answers on, its process)."""
    heard, words = os.pipe()
    datasets = [dataset_or_why(request) for request in requests]  # here, so that they are made once
    pid = os.fork()
    if pid:
        os.close(words)
        return heard, pid
    null = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(null, number)
    os.dup2(words, 3)
    os.closerange(4, 1024)
    seconds = config["limits"]["cpu_seconds"]
    confine({**config, "limits": {**config["limits"], "cpu_seconds": seconds * len(requests)}})
    for request, dataset in zip(requests, datasets, strict=True):
        signal.setitimer(signal.ITIMER_PROF, seconds)  # SIGPROF kills
        reply = {"unreadable": dataset} if isinstance(dataset, str) else scored(dataset, request)
        os.write(3, json.dumps(reply).encode() + b"\n")
    os._exit(0)


def dataset_or_why(request: dict[str, Any]) -> Any:
    """The data set whose scorer is asked, or why there is none."""
    try:
        return gym_rows.dataset(request["name"], request["options"])
    except Exception as error:  # noqa: BLE001  the package's
        return gym_rows.text_of(error)


def scored(dataset: Any, request: dict[str, Any]) -> dict[str, Any]:
    """The scorer's word on an answer, in the child; an answer that has not the task's form does not reach it."""
    name, answer = request["name"], request["answer"]
    entry = gym_rows.restored(name, request["entry"])
    try:
        wrong = unfit(name, answer, entry)
        if wrong:
            return {"score": 0.0, "reason": wrong}
        score = float(dataset.score_answer(answer, entry))
        wrong = unearned(name, answer, entry) if score >= 1.0 else ""
    except Exception as error:  # noqa: BLE001  the scorer's, on a text or on a gold that it cannot read
        trouble = f"the scorer raised {gym_rows.text_of(error)}"
        if refused(dataset, name, entry):
            return {"unreadable": trouble}
        return {"score": 0.0, "reason": trouble}
    if wrong:
        score = 0.0
    if score < 1.0 and request["given"] and refused(dataset, name, entry):
        return {"unreadable": "the scorer does not take the row's own answer"}
    return {"score": score, "reason": wrong}


def refused(dataset: Any, name: str, entry: dict[str, Any]) -> bool:
    """Whether the scorer refuses, or cannot read, the row's own answer; False where the row has none."""
    if entry["answer"] is None:
        return False
    try:
        gold = entry["answer"]
        wrong = unfit(name, gold, entry) or unearned(name, gold, entry)
        return bool(wrong) or float(dataset.score_answer(gold, entry)) < 1.0
    except Exception:  # noqa: BLE001  the scorer's
        return True


def said(line: bytes) -> dict[str, Any]:
    """A child's line, of which only what is expected is passed on."""
    try:
        reply = json.loads(line)
        if "unreadable" in reply:
            return {"unreadable": str(reply["unreadable"])[: 2 * LONGEST_REASON]}
        return {"score": float(reply["score"]), "reason": str(reply["reason"])[: 2 * LONGEST_REASON]}
    except (ValueError, KeyError, TypeError, RecursionError):
        return {"died": "what it said is no score"}


def ended(status: int) -> dict[str, Any]:
    """How a child ended without a word on the answer that it was at."""
    code = os.waitstatus_to_exitcode(status)
    if -code in (signal.SIGXCPU, signal.SIGPROF):
        return {"late": True}
    return {"died": signal.Signals(-code).name if code < 0 else f"exit status {code}"}
