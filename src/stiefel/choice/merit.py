"""What is read of a run that is halted or has ended: its rewards, and what of them it is compared by."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from pathlib import Path

from ..artifacts import METRICS, RUNS, read_jsonl

LAST = 4  # at most the last quarter of a run is looked at


def rewards_of(run: Path) -> list[float]:
    """The mean reward of each rollout, NaN where it had none; empty where no rollout was done."""
    path = run / METRICS
    rows = read_jsonl(path) if path.is_file() else []
    return [float(row.get("reward", math.nan)) for row in rows if "event" not in row]


def window(place: int, rollouts: int) -> int:
    """How many of the last rollouts are compared after so many: half of them, at most a quarter of the whole run."""
    return min(math.ceil(place / 2), math.ceil(rollouts / LAST))


def last_rewards(rewards: Sequence[float], place: int, rollouts: int) -> list[float]:
    """The rewards that are compared after `place` rollouts; empty where the run did not come so far."""
    return list(rewards[place - window(place, rollouts) : place]) if len(rewards) >= place else []


def merit(rewards: Sequence[float]) -> float:
    """Their mean; NaN where there is none, as of a run that diverged before."""
    known = [reward for reward in rewards if not math.isnan(reward)]
    return statistics.fmean(known) if known else math.nan


def spent_in(out: Path) -> int:
    """The rollouts that lie under `out/runs`; what a killed run did after its last checkpoint is there once."""
    return sum(len(rewards_of(run)) for run in (out / RUNS).iterdir())
