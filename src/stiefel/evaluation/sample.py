"""What an evaluation is made of: questions as the model sees them, completions, graded samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ..tasks import Row, Task, opened_thinking, prompt_tokens, rendered


@dataclass(frozen=True)
class Question:
    """A row of a task, and its prompt as the model sees it."""

    row: Row
    text: str  # the prompt, rendered
    tokens: list[int]
    opened: str  # what the prompt leaves open, and a completion is graded behind


@dataclass(frozen=True)
class Completion:
    """What a model wrote."""

    text: str
    tokens: int  # with the end of sequence, where there is one
    truncated: bool  # cut off by the limit


class Engine(Protocol):
    """Whatever writes a completion for each prompt; equal prompts, seeds and batches give equal completions."""

    def __call__(self, prompts: Sequence[list[int]], seeds: Sequence[int]) -> list[Completion]:
        """The completions, in order; a seed for each."""
        ...


@dataclass(frozen=True)
class Sample:
    """One completion of one question, graded."""

    task: str
    question: int
    sample: int
    prompt: str
    answer: str
    completion: str
    tokens: int
    truncated: bool
    score: float | None  # None where the gold answer cannot be read
    extracted: str | None
    reason: str


def ask(task: Task, rows: Sequence[Row], tokenizer: Any) -> list[Question]:
    """The task's rows as this model's tokenizer shows them."""
    questions = []
    for row in rows:
        text = rendered(row.prompt, tokenizer, chat=task.chat)
        tokens = prompt_tokens(row.prompt, tokenizer, chat=task.chat)
        questions.append(Question(row, text, tokens, opened_thinking(text)))
    return questions
