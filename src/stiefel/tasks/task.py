"""What a task is: rows of (prompt, answer), and the grader that reads completions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ..rewards import Grader

Split = Literal["train", "test"]
Messages = list[dict[str, str]]  # [{"role": ..., "content": ...}, ...], rendered by the tokenizer's chat template


@dataclass(frozen=True)
class Row:
    """One question, with the gold answer as the grader wants it."""

    prompt: str | Messages
    answer: str
    target: str = ""  # what a perfect model would write, for supervised training; empty where there is none
    columns: Mapping[str, Any] = field(default_factory=dict)  # what else the grader is given, by name

    @property
    def text(self) -> str:
        """The prompt of a task that asks in plain text."""
        assert isinstance(self.prompt, str)
        return self.prompt


AS_MANY_AS_FIT = 0  # for max_tokens: what the model's context leaves beside the longest prompt


@dataclass(frozen=True)
class Sampling:
    """How completions are drawn; temperature 0 is greedy, top_k 0 keeps all tokens."""

    samples: int = 1
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    max_tokens: int = 64
    seed: int = 0


def built_in(split: Split = "test") -> dict[str, Any]:
    """The origin of rows that are made here."""
    return {"source": "built in", "split": split}


@dataclass(frozen=True)
class Task:
    """A named source of rows, what the model sees of them, and how completions are graded.

    `rows` and `origin` read the data when they are first called; both raise UserError where that cannot be done.
    """

    name: str
    description: str
    grader: Grader
    rows: Callable[[Split, int, int], list[Row]]  # (split, how many, seed) → rows; the test split ignores the seed
    size: int | None = None  # different training rows; None where they never end, or have not been read
    sampling: Sampling = Sampling()  # as the task is usually measured
    stop: tuple[str, ...] = ()  # texts before which a completion ends, where the prompt is text: see render.stops
    chat: bool = False  # a text prompt is a user's message where the tokenizer has a chat template
    # where a split's rows came from: {"source": "hub", "id", "config", "split", "revision" (a commit), "rows", …},
    # {"source": "file", "path", "sha256", "rows", …} or {"source": "built in"}
    origin: Callable[..., dict[str, Any]] = built_in  # (split, "test" unless another is named)
