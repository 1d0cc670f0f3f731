"""Samples → eval.json: what the scores are, and what they leave out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from ..scores import Values, average_at, grouped, pass_at
from .sample import Sample


def summarise(samples: Sequence[Sample], settings: dict[str, Any]) -> dict[str, Any]:
    """The scores of an evaluation, as eval.json holds them.

    `scores` has avg@n and pass@k for every k ≤ n, over the questions whose gold could be read; it is empty where there
    is none. Lengths and truncation are of every sample.
    """
    n = settings["sampling"]["samples"]
    values = readable(samples)
    lost = unreadable(samples)
    scores = {}
    if values:
        scores = {f"avg@{n}": asdict(average_at(values))}
        scores |= {f"pass@{k}": asdict(pass_at(values, k)) for k in range(1, n + 1)}
    return {
        "task": settings["task"],
        "questions": len(values) + len(lost),
        "samples": n,
        "scores": scores,
        "mean_tokens": sum(sample.tokens for sample in samples) / len(samples),
        "truncated": sum(sample.truncated for sample in samples) / len(samples),
        "unreadable": len(lost),
        "unreadable_reasons": dict(list(lost.items())[:10]),
    }


def readable(samples: Sequence[Sample]) -> Values:
    """Question → the scores of its samples in order, of the questions whose gold could be read for every sample."""
    lost = unreadable(samples)
    ordered = sorted(samples, key=lambda sample: (sample.question, sample.sample))
    return grouped(
        (sample.question, sample.score)
        for sample in ordered
        if sample.question not in lost and sample.score is not None
    )


def unreadable(samples: Sequence[Sample]) -> dict[int, str]:
    """Question → why its gold answer could not be read; such a question has no score, of any sample."""
    lost: dict[int, str] = {}
    for sample in sorted(samples, key=lambda sample: (sample.question, sample.sample)):
        if sample.score is None:
            lost.setdefault(sample.question, sample.reason)
    return lost


def unreadable_warning(task: str, lost: dict[int, str], questions: int) -> str:
    """The line that says what was left out."""
    number, reason = next(iter(lost.items()))
    return (
        f"warning: {task}: the gold answers of {len(lost)} of {questions} questions cannot be read and are left out; "
        f"the first is question {number + 1}: {reason}"
    )
