"""A run that is killed, again and again, at random moments: forked from a warm process, so that each costs little."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

from stiefel.recipe.recipe import Recipe
from stiefel.run.directory import finished
from stiefel.run.run import train


def start(recipe: Recipe, out: Path) -> int:
    """Train in a child of this process; its id."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            train(recipe, out, resume=out.is_dir())
            status = 0
        finally:
            os._exit(status)
    return child


def killed_run(recipe: Recipe, out: Path, kills: int, seconds: float, seed: int = 0) -> list[int]:
    """Train to the end although `kills` attempts get SIGKILL at a random moment of their first `seconds`.

    Returns how many rows of metrics there were at each kill.
    """
    rng, rows = random.Random(seed), []
    for number in range(kills):
        child = start(recipe, out)
        time.sleep(rng.uniform(0.1, 1.0) * seconds)
        os.kill(child, signal.SIGKILL)  # a child that has ended stays until it is waited for
        _, status = os.waitpid(child, 0)
        assert os.WIFSIGNALED(status), f"attempt {number + 1} had ended by itself: nothing was killed"
        metrics = out / "metrics.jsonl"
        rows.append(len(metrics.read_bytes().splitlines()) if metrics.is_file() else 0)
    child = start(recipe, out)
    _, status = os.waitpid(child, 0)
    assert os.WIFEXITED(status)
    assert os.WEXITSTATUS(status) == 0
    assert finished(out)
    return rows
