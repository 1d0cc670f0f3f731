"""Which runs fell: they diverged, or ended far below what they had reached."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from .runs import Run
from .table import WINDOW

SHARE = 0.5  # of a run's own best
DEFINITION = (
    f"A run fell if it diverged, or if the mean reward of its last {WINDOW} rollouts is below half of the best mean of "
    f"{WINDOW} rollouts in a row that it had reached."
)


@dataclass(frozen=True)
class Fall:
    """A run that fell: from where to where, or why it ended."""

    run: Run
    best: float | None
    best_at: int | None  # the last rollout of the best ones
    last: float | None
    diverged: bool


def falls(runs: Sequence[Run]) -> list[Fall]:
    """Those of a comparison, in its order."""
    return [found for run in runs if (found := fall(run)) is not None]


def windows(rewards: Sequence[float]) -> list[float]:
    """The mean of every WINDOW rewards in a row; none of fewer."""
    return [fmean(rewards[end - WINDOW : end]) for end in range(WINDOW, len(rewards) + 1)]


def fall(run: Run) -> Fall | None:
    """What a run lost; None where it kept half of its best, or is too short to tell."""
    diverged = run.manifest.status == "diverged"
    values = run.values("reward")
    ends = [rollout for rollout, _ in values[WINDOW - 1 :]]
    means = windows([reward for _, reward in values])
    finite = [window for window in zip(means, ends, strict=True) if math.isfinite(window[0])]
    if not finite:
        return Fall(run, None, None, None, True) if diverged else None
    (best, at), last = max(finite, key=lambda window: window[0]), finite[-1][0]
    if diverged or last < SHARE * best:
        return Fall(run, best, at, last, diverged)
    return None


def fall_warnings(run: Run) -> list[str]:
    """What is said of a run that fell."""
    found = fall(run)
    if found is None:
        return []
    what = "the run diverged" if found.diverged else "the reward fell"
    means = f" (means of {WINDOW} rollouts)"
    course = "" if found.best is None else f": {found.best:.3f} at its best, {found.last:.3f} at the end{means}"
    return [f"warning: {what}{course}; docs/collapsed.md says what to look at"]
