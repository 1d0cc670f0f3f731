"""What the engine that wrote the rollouts played of the update that was trained."""

from __future__ import annotations

from ..scores import survival_warning
from .runs import Run


def engine_warnings(run: Run) -> list[str]:
    """What is said of a run whose engine lost much of its update, at the rollout at which it lost most."""
    survivals = run.values("sync_survival")
    if not survivals:
        return []
    step, least = min(survivals, key=lambda each: each[1])
    lost = survival_warning(least, step)
    return [lost] if lost else []
