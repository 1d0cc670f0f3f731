"""A task's grader as TRL's reward function."""

from __future__ import annotations

from typing import Any

from ..rewards import Grader


class GradedReward:
    """Scores completions with a grader and remembers the share that was correct since it was last asked."""

    def __init__(self, grader: Grader) -> None:
        self.__name__ = "correct"  # TRL names the reward's metrics after it
        self._grader = grader
        self._scores: list[float] = []

    def __call__(self, completions: list[str], answer: list[str], **columns: Any) -> list[float]:
        """The score of each completion, 0 or 1."""
        scores = [self._grader(*pair).score for pair in zip(completions, answer, strict=True)]
        self._scores.extend(scores)
        return scores

    def take_correct(self) -> float:
        """The share of correct completions of all sampled since the last call."""
        share = sum(self._scores) / len(self._scores)
        self._scores.clear()
        return share
