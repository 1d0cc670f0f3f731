"""What an evaluation is asked to do, checked before anything is loaded."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..errors import UserError
from ..tasks import Sampling
from .plan import ON_CPU, SEQUENCES, Room
from .subject import Subject, device


@dataclass(frozen=True)
class Drawn:
    """How completions are to be drawn, where the task's own way is not wanted; None takes the task's."""

    samples: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    max_tokens: int | None = None
    seed: int = 0


@dataclass(frozen=True)
class Wanted:
    """One evaluation, whole: of which model, on which task, how, and where it is written."""

    subject: Subject
    task: str
    out: Path
    data: str = ""
    data_revision: str = ""
    split: str = ""
    prompt_column: str = ""  # this and the next two: of one's own rows, where the task is the name of a reward
    answer_column: str = ""
    chat: bool = False  # of reasoning-gym too
    drawn: Drawn = Drawn()
    limit: int | None = None  # None: all questions; DEFAULT_LIMIT of a task that makes them
    batch: int | None = None  # sequences together; None: as many as fit
    engine: str = "hf"
    options: Mapping[str, Any] = field(default_factory=dict)  # of a task of reasoning-gym


def resolved(usual: Sampling, drawn: Drawn) -> Sampling:
    """The task's sampling with what the user gave; raises UserError for what has no meaning."""
    numbers = (
        ("samples", drawn.samples, 1, math.inf, "completions a question"),
        ("temperature", drawn.temperature, 0, math.inf, "0 is greedy"),
        ("top-k", drawn.top_k, 0, math.inf, "0 keeps all tokens"),
        ("max-tokens", drawn.max_tokens, 1, math.inf, "where a completion is cut off"),
        ("seed", drawn.seed, 0, 2**63 - 1, "any whole number from 0"),
    )
    for name, value, low, high, meaning in numbers:
        if value is not None and not low <= value < high:
            raise UserError(f"--{name} {value:g}", f"it is below {low}, or no number", f"{meaning}; at least {low}")
    if drawn.top_p is not None and not 0 < drawn.top_p <= 1:
        raise UserError(
            f"--top-p {drawn.top_p:g}", "it is a share of the probability, above 0 and at most 1", "1 keeps all tokens"
        )
    given = {name: value for name, value in vars(drawn).items() if value is not None}
    sampling = replace(usual, **given)
    if sampling.temperature == 0:
        refuse_unused(sampling, drawn)
    return sampling


def refuse_unused(sampling: Sampling, drawn: Drawn) -> None:
    """Raise for what greedy decoding has no use for."""
    if sampling.samples > 1:
        raise UserError(
            f"{sampling.samples} samples at temperature 0",
            "greedy decoding writes the same completion every time",
            "--samples 1, or a --temperature above 0",
        )
    for name, value in (("top-p", drawn.top_p), ("top-k", drawn.top_k)):
        if value is not None:
            raise UserError(
                f"--{name} {value:g} at temperature 0",
                "greedy decoding takes the likeliest token, and nothing reads it",
                f"leave out --{name}, or give a --temperature above 0",
            )


def check_numbers(wanted: Wanted) -> None:
    """Raise for a limit or a batch of nothing."""
    for name, value in (("limit", wanted.limit), ("batch", wanted.batch)):
        if value is not None and value < 1:
            raise UserError(f"--{name} {value}", "it is below 1", f"leave out --{name}, or give 1 or more")


def check_ks(ks: Sequence[int], samples: int) -> None:
    """Raise for a k of pass@k that the samples do not reach."""
    for k in ks:
        if k < 1:
            raise UserError(f"k = {k}", "pass@k is of k samples, at least one", "give --k 1,2,4")
        if k > samples:
            raise UserError(
                f"k = {k} is more than the {samples} samples a question",
                "pass@k is estimated from the subsets of k of a question's samples, and there is none",
                f"give --samples {k} or more, or a --k of at most {samples}",
            )


def room_for(wanted: Wanted) -> Room:
    """The batches: bounded by tokens, or as the user says; an engine with batches of its own gets many at once.

    A batch is what a kill loses. Where it takes long, on a CPU, it holds a question or a few.
    """
    if wanted.batch is not None:
        return Room(sequences=wanted.batch, tokens=0)
    if device().type == "cpu":
        return Room(sequences=ON_CPU, whole=True)
    return Room(sequences=SEQUENCES, whole=True) if wanted.engine == "hf" else Room(sequences=1000, tokens=0)
