"""A task's grader as TRL's reward function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..rewards import Grader


class GradedReward:
    """Scores completions with a grader; TRL averages what it logs over every completion of every process."""

    def __init__(self, grader: Grader) -> None:
        self.__name__ = "correct"  # TRL names the reward's metrics after it
        self._grader = grader

    def __call__(
        self, completions: list[str], answer: list[str], log_metric: Callable[[str, float], None], **columns: Any
    ) -> list[float]:
        """The score of each completion, 0 or 1."""
        scores = [self._grader(*pair).score for pair in zip(completions, answer, strict=True)]
        log_metric("correct", sum(scores) / len(scores))
        return scores
