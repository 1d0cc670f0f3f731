"""Two trainers side by side, and the ratio of their rollouts' times with its interval.

They live in one process, each in a thread of its own, and take turns rollout by rollout, so that whatever else the
machine does hits both alike. What is compared is the thread's processor time, which other processes lengthen less than
the time on the wall. Where in memory a process puts the two makes one of them faster by some percent for as long as it
lives: so there are several processes, which is built first alternates, and the interval is over processes.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import stats
from transformers import TrainerCallback

from stiefel.quiet import quiet

# Rollouts that are not counted: the first ones, and the last, at which ours measures its divergences as it does at the
# first, whatever `kl_every` is. A run pays for these two once, however long it is.
WARM_UP, LAST = 2, 1


class Turn(TrainerCallback):  # type: ignore[misc]
    """Lets the other trainer go after each rollout, and keeps the times."""

    def __init__(self, mine: threading.Semaphore, other: threading.Semaphore, rollouts: int, updates: int) -> None:
        self._mine, self._other, self._left, self._updates = mine, other, rollouts, updates
        self.seconds: list[float] = []
        self._began = 0.0

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Wait for the first turn."""
        self._mine.acquire()
        self._began = time.thread_time()

    def on_log(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """After a rollout's last update; the end of training logs once more."""
        if state.global_step % self._updates or not self._left:
            return
        self.seconds.append(time.thread_time() - self._began)
        self._left -= 1
        self._other.release()
        if self._left:
            self._mine.acquire()
        self._began = time.thread_time()


def race(module: str, kinds: list[str], pairs: int) -> list[list[float]]:
    """Seconds of the rollouts of two kinds of `module.trainer_of`, in this process, the first one going first."""
    benchmark = import_module(module)
    semaphores = [threading.Semaphore(1), threading.Semaphore(0)]
    turns = [Turn(semaphores[number], semaphores[1 - number], pairs, benchmark.UPDATES) for number in (0, 1)]
    with tempfile.TemporaryDirectory() as place:
        trainers = []
        for number, (kind, turn) in enumerate(zip(kinds, turns, strict=True)):
            out = Path(place) / str(number)
            out.mkdir()
            trainers.append(benchmark.trainer_of(kind, pairs, out, turn))

        def train(number: int) -> None:
            try:
                trainers[number].train()
            finally:
                semaphores[1 - number].release(pairs)  # one that failed does not keep the other waiting

        with ThreadPoolExecutor(2) as pool:
            list(pool.map(train, (0, 1)))  # raises what a trainer raised
    return [turn.seconds[WARM_UP:-LAST] for turn in turns]


def ratio(module: str, first: str, second: str, pairs: int, processes: int) -> dict[str, Any]:
    """The time of `second` over that of `first`: the geometric mean over processes of the ratio of their totals, which
    is what a run pays, with its 95% t-interval. As many processes at once as there are cores, one thread each.
    """
    orders = [[first, second][:: 1 if number % 2 else -1] for number in range(processes)]

    def measured(kinds: list[str]) -> dict[str, list[float]]:
        command = [sys.executable, "-m", "benchmarks.pairs", module, *kinds, str(pairs + WARM_UP + LAST)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return dict(zip(kinds, json.loads(done.stdout.splitlines()[-1]), strict=True))

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found = list(pool.map(measured, orders))
    ratios = np.array([sum(times[second]) / sum(times[first]) for times in found])
    logs = np.log(ratios)
    middle, half = logs.mean(), logs.std(ddof=1) / len(logs) ** 0.5 * stats.t.ppf(0.975, len(logs) - 1)
    return {
        "pairs": sum(len(times[first]) for times in found),
        "processes": processes,
        "seconds": float(np.median(np.concatenate([times[first] for times in found]))),
        "total": float(np.exp(middle)),
        "total_interval": [float(np.exp(middle - half)), float(np.exp(middle + half))],
        "ratios": ratios.tolist(),
    }


if __name__ == "__main__":
    quiet()
    torch.set_num_threads(1)
    print(json.dumps(race(sys.argv[1], sys.argv[2:4], int(sys.argv[4]))))
