"""Grading in bounded worker processes: what hangs or dies costs one worker its time, and nothing else."""

from __future__ import annotations

import os
import selectors
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Sequence
from typing import Any

from .extract import after_thinking
from .grade import OUT_OF_TIME, Grade
from .sandbox.inside.wire import Closed, receive, send

TAIL = 20_000  # characters of a completion, from its end, that a worker is sent; a gold is not longer
CHUNK = 16  # completions a worker is sent at once: together they fit into one message, whatever their characters
START_SECONDS = 120.0  # for a worker to import SymPy, on a machine that swaps
GRACE_SECONDS = 1.0  # after a worker's own alarm, before it is killed

ENVIRONMENT = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # a worker is one core's

Pair = tuple[str, Any] | tuple[str, Any, bool]  # (completion, gold, whether the completion was cut off)
Request = tuple[str | None, Any, bool]  # without a completion: can the gold be read?
Outcome = Grade | str  # a grade, or why the grader failed


class Worker:
    """One process, and the requests that it has not answered yet."""

    def __init__(self, seconds: float, memory_bytes: int) -> None:
        self.errors = tempfile.TemporaryFile()  # noqa: SIM115  lives as long as the worker
        self.process = subprocess.Popen(
            [sys.executable, "-m", "stiefel.rewards.worker", str(seconds), str(memory_bytes)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            env=os.environ | ENVIRONMENT | {"PYTHONPATH": os.pathsep.join(sys.path)},
        )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.requests, self.replies = self.process.stdin.fileno(), self.process.stdout.fileno()
        self.ready = False
        self.pending: deque[int] = deque()  # what it was sent, in order
        self.deadline = time.monotonic() + START_SECONDS

    def close(self) -> str:
        """Kill it; what it last wrote to its standard error."""
        self.process.kill()
        self.process.communicate()
        self.errors.seek(0)
        text = self.errors.read().decode(errors="replace")[-2000:]
        self.errors.close()
        return text


class Pool:
    """Workers that are started when first needed, killed when an answer takes too long, and replaced.

    workers: processes; seconds: that one answer may take; memory_bytes: address space of one worker. Not for use by
    two threads at once.
    """

    def __init__(self, workers: int | None = None, seconds: float = 5.0, memory_bytes: int = 4 * 2**30) -> None:
        self.size = workers or min(os.cpu_count() or 1, 8)
        self.seconds, self.memory_bytes = seconds, memory_bytes
        self.workers: list[Worker] = []
        self.killed = 0  # workers that had to be replaced

    def grade(self, grader: str, pairs: Sequence[Pair]) -> list[Outcome]:
        """Every pair's outcome, in order.

        An answer that runs out of time, or twice takes its worker down, scores 0 and says so, if the gold alone can be
        read; where that cannot be done either, the gold is unreadable.
        """
        requests: list[Request] = [
            (after_thinking(completion)[-TAIL:], gold, any(cut)) for completion, gold, *cut in pairs
        ]
        outcomes: list[Outcome | None] = [
            None
            if isinstance(gold, (str, int, float)) and len(str(gold)) <= TAIL
            else Grade(None, None, f"unreadable gold: a {type(gold).__name__}, not a number or a text of a few lines")
            for _, gold, _ in requests
        ]
        indices = [index for index, outcome in enumerate(outcomes) if outcome is None]
        try:
            for index, trouble in self.run(grader, requests, indices, outcomes).items():
                outcomes[index] = self.blamed(grader, requests[index][1], trouble)
        except BaseException:
            self.close()  # what the workers would still answer was asked by nobody
            raise
        assert all(outcome is not None for outcome in outcomes)
        return [outcome for outcome in outcomes if outcome is not None]

    def blamed(self, grader: str, gold: Any, trouble: str) -> Outcome | None:
        """The outcome of a pair that could not be graded: the gold is tried alone."""
        reading: list[Outcome | None] = [None]
        if self.run(grader, [(None, gold, False)], range(1), reading):
            return Grade(None, None, f"unreadable gold: {trouble}")
        if isinstance(reading[0], Grade) and reading[0].score is not None:
            return Grade(0.0, None, trouble)
        return reading[0]

    def run(
        self,
        grader: str,
        pairs: Sequence[Request],
        indices: Sequence[int],
        outcomes: list[Outcome | None],
    ) -> dict[int, str]:
        """Fill in the outcomes; what could not be had, by index: out of time, or its worker's death."""
        waiting, deaths = deque(indices), dict.fromkeys(indices, 0)
        troubles: dict[int, str] = {}
        wanted = min(self.size, -(-len(waiting) // CHUNK))
        while waiting or any(worker.pending for worker in self.workers):
            self.start(min(wanted, len(waiting) + sum(bool(worker.pending) for worker in self.workers)))
            share = max(1, min(CHUNK, len(waiting) // (2 * len(self.workers))))
            for worker in self.workers:
                if worker.ready and not worker.pending and waiting:
                    alone = deaths[waiting[0]] > 0  # it took a worker down: nothing else is to go down with it
                    chunk = [waiting.popleft() for _ in range(1 if alone else min(share, len(waiting)))]
                    self.hand(worker, chunk, [(grader, *pairs[index]) for index in chunk])
            for worker in self.heard():
                lost = self.hear(worker, outcomes, troubles)
                if lost is None:
                    continue
                rest = [index for index in lost if index not in troubles]
                if lost and lost[0] not in troubles:  # it died on this one, unasked
                    deaths[lost[0]] += 1
                    if deaths[lost[0]] > 1:
                        troubles[rest.pop(0)] = f"the worker died on it twice ({status(worker)})"
                waiting.extendleft(reversed(rest))
        return troubles

    def start(self, count: int) -> None:
        """Bring the number of workers up."""
        while len(self.workers) < count:
            self.workers.append(Worker(self.seconds, self.memory_bytes))

    def hand(self, worker: Worker, indices: list[int], requests: list[tuple[str, str | None, Any, bool]]) -> None:
        """Send a worker requests; one that is gone is noticed when it is heard."""
        worker.pending.extend(indices)
        worker.deadline = time.monotonic() + self.seconds + GRACE_SECONDS
        try:
            send(worker.requests, requests)
        except Closed:
            worker.deadline = 0.0

    def heard(self) -> list[Worker]:
        """The busy workers that have something to say, or are late; waits for one."""
        busy = [worker for worker in self.workers if worker.pending or not worker.ready]
        with selectors.DefaultSelector() as selector:
            for worker in busy:
                selector.register(worker.replies, selectors.EVENT_READ, worker)
            soonest = min(worker.deadline for worker in busy)
            ready = {id(key.data) for key, _ in selector.select(max(0.0, soonest - time.monotonic()))}
        now = time.monotonic()
        return [worker for worker in busy if id(worker) in ready or worker.deadline <= now]

    def hear(self, worker: Worker, outcomes: list[Outcome | None], troubles: dict[int, str]) -> list[int] | None:
        """Read one message. None while the worker lives; else what it leaves unanswered, the culprit first."""
        late = worker.deadline <= time.monotonic()
        try:
            with selectors.DefaultSelector() as selector:
                selector.register(worker.replies, selectors.EVENT_READ)
                reply = receive(worker.replies) if selector.select(0) else None
        except Closed:
            reply, late = None, False
        if reply is None:
            return self.bury(worker, late, troubles)
        if not worker.ready:
            worker.ready = True
            return None
        index = worker.pending.popleft()
        worker.deadline = time.monotonic() + self.seconds + GRACE_SECONDS
        if "grade" in reply:
            outcomes[index] = Grade(*reply["grade"])
        elif "failed" in reply:
            outcomes[index] = str(reply["failed"])
        else:
            troubles[index] = self.too_long()
        return None

    def bury(self, worker: Worker, late: bool, troubles: dict[int, str]) -> list[int]:
        """Remove a worker that died or has to; raises RuntimeError if it never came up."""
        self.workers.remove(worker)
        errors = worker.close()
        if not worker.ready:
            raise RuntimeError(f"a grading worker did not start ({status(worker)}): {errors}")
        self.killed += 1
        if late and worker.pending:
            troubles[worker.pending[0]] = self.too_long()
        return list(worker.pending)

    def too_long(self) -> str:
        """The reason of a time-out."""
        return f"{OUT_OF_TIME}not decided within {self.seconds:g} s"

    def close(self) -> None:
        """End all workers."""
        while self.workers:
            self.workers.pop().close()


def status(worker: Worker) -> str:
    """How a worker ended."""
    code = worker.process.returncode
    return f"signal {-code}" if code < 0 else f"exit status {code}"
