"""A hundred runs become a page in seconds, and one that a browser opens."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

from stiefel.report import write_report

from .conftest import Maker
from .weights import add_inspection

METHODS = ("lora", "gaussian", "rlpo", "rlmo", "olora", "pissa", "milora", "geora", "dora", "rslora", "full")
ROLLOUTS, QUESTIONS = 60, 50
SECONDS, BYTES = 20, 10e6


@pytest.fixture(scope="module")
def hundred(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eleven methods at three rates with three seeds, and one run more."""
    make = Maker(tmp_path_factory.mktemp("many") / "comparison")
    noise = random.Random(0)
    cells = [(method, lr, seed) for method in METHODS for lr in (1e-4, 3e-4, 1e-3) for seed in (0, 1, 2)]
    for number, (method, lr, seed) in enumerate([*cells, ("dct", 1e-4, 0)]):
        rewards = [min(1.0, max(0.0, 0.3 + 0.005 * step + noise.gauss(0, 0.05))) for step in range(ROLLOUTS)]
        right = [[int(noise.random() < share) for _ in range(QUESTIONS)] for share in (0.3, 0.5)]
        kl = {"kl_base": [10 ** (step / 20 - 4) if step % 10 == 9 else None for step in range(ROLLOUTS)]}
        run = make.run(method, lr, seed, rewards=rewards, right=(right[0], right[1]), metrics=kl)
        add_inspection(run, seed=number % 250)
    return make.root


def test_a_hundred_runs_are_quick_and_small(hundred: Path) -> None:
    began = time.process_time()  # of this process alone, whatever else the machine does
    page = write_report(hundred)
    assert time.process_time() - began < SECONDS
    assert page.stat().st_size < BYTES
    text = page.read_text()
    assert "66 pairs of methods were compared" in text
    assert "Of the 66 pairs, those with the highest method are drawn." in text
