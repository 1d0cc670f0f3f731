"""A task's grader as TRL's reward function."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

from ..recipe import Recipe
from ..rewards import Grade, Grader, grade_all
from ..tasks import Messages, opened_thinking
from .overlong import OverlongShaping

Completion = str | list[dict[str, Any]]  # text, or the assistant's message


@dataclass(frozen=True)
class Graded:
    """Completions of this process with their grades, G of a prompt in a row, as they came from the model."""

    updates: int  # optimizer steps done when they were sampled
    prompts: list[str | Messages]
    answers: list[str]
    completions: list[str]
    tokens: list[int]  # of each, with the end of sequence, where there is one
    truncated: list[bool]
    grades: list[Grade]


class GradedReward:
    """Scores completions with a grader; TRL averages what it logs over every completion of every process.

    `opening` is put before each completion: what its prompt had already opened (`opening_of`). `endings` are the texts
    of tokens that end a turn and are not special, which TRL leaves at the end of a completion. A completion of `limit`
    tokens that ends in none of `ends` was cut off. `keep` is given all that was graded, in every process alike.
    """

    def __init__(
        self,
        grader: Grader,
        opening: str = "",
        endings: Sequence[str] = (),
        *,
        limit: int = 0,
        ends: Collection[int] = (),
        keep: Callable[[Graded], None] | None = None,
    ) -> None:
        self.__name__ = "correct"  # TRL names the reward's metrics after it
        self._grader = grader
        self._opening, self._endings = opening, endings
        self._limit, self._ends = limit, frozenset(ends)
        self._keep = keep
        self._warned = False
        self.scores: list[float | None] = []  # of the last call

    def __call__(
        self,
        completions: list[Completion],
        answer: list[str],
        log_metric: Callable[[str, float], None],
        columns: list[str] | None = None,
        completion_ids: list[list[int]] | None = None,
        **unused: Any,
    ) -> list[float | None]:
        """The score of each completion; `columns` holds what else the grader is given of each row, as JSON.

        A completion whose gold answer cannot be read has no score, which TRL leaves out of its group; the share of them
        is logged, and the first one named in a warning.
        """
        rows = None if columns is None else [json.loads(others) for others in columns]
        written = [without_end(text_of(completion), self._endings) for completion in completions]
        truncated = self._truncated(completion_ids)
        grades = grade_all(self._grader, [self._opening + text for text in written], answer, rows, truncated)
        if self._keep is not None:
            assert completion_ids is not None
            assert truncated is not None
            lengths = [len(ids) for ids in completion_ids]
            updates = unused["trainer_state"].global_step
            self._keep(Graded(updates, unused["prompts"], answer, written, lengths, truncated, grades))
        unreadable = [number for number, grade in enumerate(grades) if grade.score is None]
        if unreadable and not self._warned:
            self._warned = True
            reason = grades[unreadable[0]].reason
            print(f"warning: the answer {answer[unreadable[0]][:100]!r} cannot be read: {reason}", file=sys.stderr)
        self.scores = scores = [grade.score for grade in grades]
        for score in scores:  # one by one: a mean of means would weigh those of a batch with unreadable golds more
            if score is not None:
                log_metric("correct", score)
            log_metric("unreadable_fraction", float(score is None))
        return scores

    def _truncated(self, completion_ids: list[list[int]] | None) -> list[bool] | None:
        """Which completions the limit cut off; None where that is not known."""
        if completion_ids is None or not self._limit:
            return None
        return [len(ids) >= self._limit and ids[-1] not in self._ends for ids in completion_ids]


def text_of(completion: Completion) -> str:
    """What the model wrote; a completion of a chat is one message."""
    if isinstance(completion, str):
        return completion
    content = completion[0]["content"]
    assert isinstance(content, str)
    return content


def without_end(text: str, endings: Sequence[str]) -> str:
    """A completion's text without the end of its turn; one ends it, and only one."""
    return next((text.removesuffix(ending) for ending in endings if text.endswith(ending)), text)


def opening_of(prompt: str | Messages, tokenizer: Any) -> str:
    """What the text of a completion is graded behind: `<think>` where the rendered prompt ends in an opened block.

    Nothing where the tokenizer has a `response_template`, by which TRL takes the thought out of what is graded.
    """
    if tokenizer.response_template is not None:
        return ""
    if isinstance(prompt, str):
        return opened_thinking(prompt)
    return opened_thinking(tokenizer.apply_chat_template(prompt, add_generation_prompt=True, tokenize=False))


def shaping(recipe: Recipe, correctness: GradedReward) -> list[OverlongShaping]:
    """The reward functions beside correctness; their weights are in `grpo_config`."""
    algorithm = recipe.algorithm
    if not algorithm.overlong_buffer:
        return []
    limit = recipe.rollout.max_completion_tokens
    return [OverlongShaping(limit, algorithm.overlong_buffer, algorithm.overlong_penalty, correctness)]
