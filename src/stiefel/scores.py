"""Grades → scores with intervals; pure functions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Score:
    """A mean over questions with its 95% interval."""

    mean: float
    low: float
    high: float
    questions: int


def accuracy(scores: Sequence[float]) -> Score:
    """Mean over questions with its 95% interval: Wilson's where each is 0 or 1, else a bootstrap over questions.

    `scores` holds one value a question, the mean over its samples. Source: Wilson, JASA 22 (1927) 209–212.
    """
    if set(scores) <= {0.0, 1.0}:
        right, n = int(sum(scores)), len(scores)
        interval = stats.binomtest(right, n).proportion_ci(CONFIDENCE, method="wilson")
        return Score(right / n, float(interval.low), float(interval.high), n)
    return bootstrap_mean(np.asarray(scores, dtype=float), seed=0)


def paired_difference(before: Sequence[float], after: Sequence[float], seed: int = 0) -> Score:
    """Mean of after − before over the same questions, with its 95% interval by a bootstrap over questions."""
    assert len(before) == len(after), "the same questions"
    return bootstrap_mean(np.asarray(after, dtype=float) - np.asarray(before, dtype=float), seed)


def bootstrap_mean(values: np.ndarray, seed: int) -> Score:
    """Mean with the 95% BCa interval of 2,000 resamples. Source: Efron, JASA 82 (1987) 171–185."""
    mean, n = float(values.mean()), len(values)
    if np.ptp(values) <= 8 * np.finfo(float).eps * np.abs(values).max():  # all alike: resampling cannot vary
        return Score(mean, mean, mean, n)
    interval = stats.bootstrap(
        (values,), np.mean, n_resamples=2000, confidence_level=CONFIDENCE, rng=np.random.default_rng(seed)
    ).confidence_interval
    return Score(mean, float(interval.low), float(interval.high), n)


def by_question(scores: Iterable[tuple[int, float]]) -> list[float]:
    """(question, score) of every sample → the mean score of each question, in order."""
    found: dict[int, list[float]] = defaultdict(list)
    for question, score in scores:
        found[question].append(score)
    return [sum(found[question]) / len(found[question]) for question in sorted(found)]
