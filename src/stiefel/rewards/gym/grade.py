"""reasoning-gym's scorers as graders: whole answers only, or the scorer's fraction."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..batch import BatchGrader
from ..grade import OUT_OF_TIME, Grade
from ..pool import Outcome, Pair
from ..sandbox import SandboxError
from ..sandbox.inside.wire import FRAME_BYTES
from .answer import gym_answer
from .process import GRACE_SECONDS, LIMITS, Kept, keeper

PIECE, PIECE_BYTES = 64, FRAME_BYTES // 2  # answers, and bytes of JSON, that are sent at once


def gym_columns(name: str, options: Mapping[str, Any], entry: Mapping[str, Any], given: bool = False) -> dict[str, Any]:
    """What the graders are told of a row: its task, its options, the row; `given`, where someone else made it."""
    return {"gym": name, "options": dict(options), "entry": dict(entry), "given": given}


def whole(pairs: Sequence[Pair]) -> list[Outcome]:
    """1 where the scorer calls the answer whole."""
    return [floored(outcome) for outcome in outcomes(pairs)]


def fractions(pairs: Sequence[Pair]) -> list[Outcome]:
    """The scorer's fraction; nothing for a text that merely holds the answer."""
    return outcomes(pairs)


def floored(outcome: Outcome) -> Outcome:
    """A fraction as 0, and why."""
    if isinstance(outcome, str) or outcome.score is None or outcome.score in (0.0, 1.0):
        return outcome
    return Grade(0.0, outcome.extracted, f"not whole: {outcome.reason}")


def outcomes(pairs: Sequence[Pair]) -> list[Outcome]:
    """The grade of every completion against its row, or why the sandbox failed, in order."""
    answers = [gym_answer(pair[0], pair[1]["entry"]["answer"]) for pair in pairs]
    requests = [request(answer, pair[1]) for answer, pair in zip(answers, pairs, strict=True)]
    found: list[Outcome] = [""] * len(pairs)
    here = keeper()
    with here.lock:
        for numbers in pieces(requests):
            try:
                replies = asked(here, [requests[number] for number in numbers])
            except SandboxError as error:
                replies = [{"failed": str(error)}] * len(numbers)
            for number, reply in zip(numbers, replies, strict=True):
                found[number] = grade_of(reply, answers[number], requests[number])
    return found


def request(answer: str, row: Mapping[str, Any]) -> dict[str, Any]:
    """What the process is sent of a completion."""
    return {
        "name": row["gym"],
        "options": row["options"],
        "entry": row["entry"],
        "given": row["given"],
        "answer": answer,
    }


def pieces(requests: Sequence[dict[str, Any]]) -> Iterator[list[int]]:
    """Numbers of requests that fit into one message."""
    piece: list[int] = []
    size = 0
    for number, one in enumerate(requests):
        bytes_of = len(json.dumps(one))
        if piece and (len(piece) == PIECE or size + bytes_of > PIECE_BYTES):
            yield piece
            piece, size = [], 0
        piece.append(number)
        size += bytes_of
    if piece:
        yield piece


def asked(here: Kept, requests: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The replies, in the order of the requests; raises SandboxError."""
    process = here.get()
    process.say({"do": "score", "answers": requests})
    replies: dict[int, dict[str, Any]] = {}
    for _ in requests:
        reply = process.hear(LIMITS.wall_seconds + GRACE_SECONDS)
        replies[reply["number"]] = reply
    return [replies[number] for number in range(len(requests))]


def grade_of(reply: Mapping[str, Any], answer: str, sent: Mapping[str, Any]) -> Outcome:
    """A reply as a grade."""
    if "failed" in reply:
        return str(reply["failed"])
    if "unreadable" in reply:
        return Grade(None, answer, f"unreadable gold: {reply['unreadable']}")
    if "late" in reply:
        return Grade(0.0, answer, f"{OUT_OF_TIME}the scorer gave no score within {LIMITS.cpu_seconds} s of work")
    if "died" in reply:
        return Grade(0.0, answer, f"the scorer's process died: {reply['died']}")
    score = float(reply["score"])
    if not math.isfinite(score):
        return Grade(0.0, answer, f"the scorer gave {score}, which is no number")
    if score >= 1.0:
        return Grade(1.0, answer, "the scorer calls it whole")
    gold = sent["entry"]["answer"]
    if score > 0 and gold and gold.strip() in answer:
        return Grade(0.0, answer, "it holds the answer among other text")
    return Grade(max(0.0, score), answer, str(reply["reason"]) or f"the scorer gives {score:.3g}")


GYM = BatchGrader("reasoning_gym", whole, by_row=True)
GYM_PARTIAL = BatchGrader("reasoning_gym, in part", fractions, by_row=True)
