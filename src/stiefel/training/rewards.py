"""A task's grader as TRL's reward function."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

from ..recipe import Recipe
from ..rewards import Grader, grade_all
from .overlong import OverlongShaping

Completion = str | list[dict[str, Any]]  # text, or the assistant's message


class GradedReward:
    """Scores completions with a grader; TRL averages what it logs over every completion of every process."""

    def __init__(self, grader: Grader) -> None:
        self.__name__ = "correct"  # TRL names the reward's metrics after it
        self._grader = grader
        self._warned = False
        self.scores: list[float | None] = []  # of the last call

    def __call__(
        self,
        completions: list[Completion],
        answer: list[str],
        log_metric: Callable[[str, float], None],
        columns: list[str] | None = None,
        **unused: Any,
    ) -> list[float | None]:
        """The score of each completion; `columns` holds what else the grader is given of each row, as JSON.

        A completion whose gold answer cannot be read has no score, which TRL leaves out of its group; the share of them
        is logged, and the first one named in a warning.
        """
        rows = None if columns is None else [json.loads(others) for others in columns]
        grades = grade_all(self._grader, [text_of(completion) for completion in completions], answer, rows)
        unreadable = [number for number, grade in enumerate(grades) if grade.score is None]
        if unreadable and not self._warned:
            self._warned = True
            reason = grades[unreadable[0]].reason
            print(f"warning: the answer {answer[unreadable[0]][:100]!r} cannot be read: {reason}", file=sys.stderr)
        self.scores = scores = [grade.score for grade in grades]
        known = [score for score in scores if score is not None]
        if known:
            log_metric("correct", sum(known) / len(known))
        log_metric("unreadable_fraction", len(unreadable) / len(grades))
        return scores


def text_of(completion: Completion) -> str:
    """What the model wrote; a completion of a chat is one message."""
    if isinstance(completion, str):
        return completion
    content = completion[0]["content"]
    assert isinstance(content, str)
    return content


def shaping(recipe: Recipe, correctness: GradedReward) -> list[OverlongShaping]:
    """The reward functions beside correctness; their weights are in `grpo_config`."""
    algorithm = recipe.algorithm
    if not algorithm.overlong_buffer:
        return []
    limit = recipe.rollout.max_completion_tokens
    return [OverlongShaping(limit, algorithm.overlong_buffer, algorithm.overlong_penalty, correctness)]
