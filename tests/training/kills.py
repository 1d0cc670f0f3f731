"""A run that is killed, again and again, at random moments: forked from a warm process, so that each costs little."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

from stiefel.recipe import Recipe
from stiefel.training.directory import finished
from stiefel.training.run import train


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


def killed_run(recipe: Recipe, out: Path, kills: int, seconds: float, seed: int = 0) -> int:
    """Train to the end although the first `kills` attempts get SIGKILL after up to `seconds`; how many were hit."""
    rng = random.Random(seed)
    hit = 0
    for _ in range(kills):
        child = start(recipe, out)
        time.sleep(rng.uniform(0.1, 1.0) * seconds)
        done, status = os.waitpid(child, os.WNOHANG)
        if not done:
            os.kill(child, signal.SIGKILL)
            _, status = os.waitpid(child, 0)
        hit += os.WIFSIGNALED(status)
        if not os.WIFSIGNALED(status):
            assert os.WEXITSTATUS(status) == 0
    child = start(recipe, out)
    _, status = os.waitpid(child, 0)
    assert os.WIFEXITED(status)
    assert os.WEXITSTATUS(status) == 0
    assert finished(out)
    return hit
