"""A task's grader as TRL's reward function."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from ..errors import UserError
from ..recipe import Recipe
from ..rewards import Grader
from .overlong import OverlongShaping

Completion = str | list[dict[str, Any]]  # text, or the assistant's message


class GradedReward:
    """Scores completions with a grader; TRL averages what it logs over every completion of every process."""

    def __init__(self, grader: Grader) -> None:
        self.__name__ = "correct"  # TRL names the reward's metrics after it
        self._grader = grader

    def __call__(
        self,
        completions: list[Completion],
        answer: list[str],
        log_metric: Callable[[str, float], None],
        columns: list[str] | None = None,
        **unused: Any,
    ) -> list[float]:
        """The score of each completion; `columns` holds what else the grader is given of each row, as JSON."""
        others = columns if columns is not None else ["{}"] * len(completions)
        scores = [self._score(*row) for row in zip(completions, answer, others, strict=True)]
        log_metric("correct", sum(scores) / len(scores))
        return scores

    def _score(self, completion: Completion, answer: str, others: str) -> float:
        grade = self._grader(text_of(completion), answer, **json.loads(others))
        if grade.score is None:
            raise UserError(
                f"the answer {answer[:100]!r} cannot be read: {grade.reason}",
                "no completion could be right, so its group would teach nothing",
                "leave that row out, or mend its answer",
            )
        return grade.score


def text_of(completion: Completion) -> str:
    """What the model wrote; a completion of a chat is one message."""
    if isinstance(completion, str):
        return completion
    content = completion[0]["content"]
    assert isinstance(content, str)
    return content


def shaping(recipe: Recipe) -> list[OverlongShaping]:
    """The reward functions beside correctness; their weights are in `grpo_config`."""
    algorithm = recipe.algorithm
    if not algorithm.overlong_buffer:
        return []
    limit = recipe.rollout.max_completion_tokens
    return [OverlongShaping(limit, algorithm.overlong_buffer, algorithm.overlong_penalty)]
