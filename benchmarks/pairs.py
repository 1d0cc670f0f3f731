"""Two trainers side by side, and the ratio of their rollouts' times with its interval.

They live in one process, each in a thread of its own, and take turns rollout by rollout, so that whatever else the
machine does hits both alike. What is compared is the thread's processor time, which other processes lengthen less than
the time on the wall, kept beside it.
"""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from transformers import TrainerCallback

WARM_UP = 2  # rollouts that are not counted


class Turn(TrainerCallback):  # type: ignore[misc]
    """Lets the other trainer go after each rollout, and keeps the times."""

    def __init__(self, mine: threading.Semaphore, other: threading.Semaphore, rollouts: int, updates: int) -> None:
        self._mine, self._other, self._left, self._updates = mine, other, rollouts, updates
        self.cpu: list[float] = []
        self.wall: list[float] = []
        self._began = (0.0, 0.0)

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Wait for the first turn."""
        self._mine.acquire()
        self._began = (time.thread_time(), time.perf_counter())

    def on_log(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """After a rollout's last update; the end of training logs once more."""
        if state.global_step % self._updates or not self._left:
            return
        self.cpu.append(time.thread_time() - self._began[0])
        self.wall.append(time.perf_counter() - self._began[1])
        self._left -= 1
        if self._left == 0:
            control.should_training_stop = True
        self._other.release()
        if self._left:
            self._mine.acquire()
        self._began = (time.thread_time(), time.perf_counter())


def interleaved(makers: tuple[Callable[[Turn, Path], Any], ...], pairs: int, updates: int) -> dict[str, Any]:
    """The ratio second/first of rollout times; a maker returns a trainer that has the given callback among its own."""
    semaphores = [threading.Semaphore(1), threading.Semaphore(0)]
    turns = [Turn(semaphores[number], semaphores[1 - number], pairs, updates) for number in (0, 1)]
    with tempfile.TemporaryDirectory() as place:
        trainers = []
        for number, (make, turn) in enumerate(zip(makers, turns, strict=True)):
            out = Path(place) / str(number)
            out.mkdir()
            trainers.append(make(turn, out))
        threads = [threading.Thread(target=trainer.train) for trainer in trainers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    one, other = turns
    return {
        **ratio_of(np.array(one.cpu[WARM_UP:]), np.array(other.cpu[WARM_UP:])),
        "wall": ratio_of(np.array(one.wall[WARM_UP:]), np.array(other.wall[WARM_UP:])),
    }


def ratio_of(one: np.ndarray, other: np.ndarray) -> dict[str, Any]:
    """The median of the pairs' ratios, and the ratio of the totals, which is what a run pays: `kl_every` makes every
    tenth rollout dearer. Each with its 95% interval by a bootstrap over pairs.
    """
    ratios = other / one
    rng = np.random.default_rng(0)
    draws = np.median(rng.choice(ratios, (2000, len(ratios))), axis=1)
    totals = rng.integers(0, len(ratios), (2000, len(ratios)))
    means = other[totals].sum(1) / one[totals].sum(1)
    return {
        "pairs": len(ratios),
        "seconds": float(np.median(one)),
        "median": float(np.median(ratios)),
        "median_interval": [float(q) for q in np.quantile(draws, (0.025, 0.975))],
        "total": float(other.sum() / one.sum()),
        "total_interval": [float(q) for q in np.quantile(means, (0.025, 0.975))],
    }
