"""Grades → scores with intervals; pure functions."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

CONFIDENCE = 0.95
RESAMPLES = 2000
BATCH_ENTRIES = 2**24  # of the bootstrap's work at a time: 128 MiB in float64

MANY_CUT_OFF = 0.1  # of completions: from here on the limit on their length decides scores

Values = Mapping[int, Sequence[float]]  # question → the score of each of its samples


@dataclass(frozen=True)
class Score:
    """A mean over questions with its 95% interval."""

    mean: float
    low: float
    high: float
    questions: int


def average_at(values: Values) -> Score:
    """avg@n: the mean over questions of the mean score of a question's n samples, with its interval over questions."""
    return accuracy(question_means(values))


def question_means(values: Values) -> list[float]:
    """Each question's mean score, in the order of the questions."""
    return [math.fsum(scores) / len(scores) for _, scores in sorted(values.items())]


def pass_at(values: Values, k: int) -> Score:
    """pass@k: the chance that at least one of k samples is right, estimated for each question, then averaged.

    A sample is right if its score is 1 or more. The interval is over questions.
    """
    return accuracy(chances(values, k))


def chances(values: Values, k: int) -> list[float]:
    """Each question's estimate of pass@k, in the order of the questions."""
    return [pass_chance(len(scores), right(scores), k) for _, scores in sorted(values.items())]


def right(scores: Sequence[float]) -> int:
    """How many of a question's samples have the full score."""
    return sum(score >= 1 for score in scores)


def pass_chance(samples: int, right: int, k: int) -> float:
    """The unbiased estimate 1 − C(n − c, k)/C(n, k) of one question, c of whose n samples are right; k ≤ n.

    It is the share of the subsets of k samples with a right one in them. Not to be confused with 1 − (1 − c/n)ᵏ, which
    is biased. Source: Chen et al., arXiv:2107.03374, Eq. 1.
    """
    assert 1 <= k <= samples
    assert 0 <= right <= samples
    return 1 - math.comb(samples - right, k) / math.comb(samples, k)


def usual_ks(samples: int) -> list[int]:
    """The powers of two below n, and n."""
    return [2**power for power in range(samples.bit_length()) if 2**power < samples] + [samples]


def accuracy(scores: Sequence[float]) -> Score:
    """Mean over questions with its 95% interval: Wilson's where each is 0 or 1, else a bootstrap over questions.

    `scores` holds one value a question. Wilson's has a width where all are alike, which resampling has not. Source:
    Wilson, JASA 22 (1927) 209–212.
    """
    if set(scores) <= {0.0, 1.0}:
        right, n = int(sum(scores)), len(scores)
        interval = stats.binomtest(right, n).proportion_ci(CONFIDENCE, method="wilson")
        return Score(right / n, float(interval.low), float(interval.high), n)
    return bootstrap_mean(np.asarray(scores, dtype=float), 0, *span(scores))


def paired_difference(before: Sequence[float], after: Sequence[float], seed: int = 0) -> Score:
    """Mean of after − before over the same questions, with its 95% interval by a bootstrap over questions."""
    assert len(before) == len(after), "the same questions"
    low, high = span([*before, *after])
    return bootstrap_mean(
        np.asarray(after, dtype=float) - np.asarray(before, dtype=float), seed, low - high, high - low
    )


def span(scores: Sequence[float]) -> tuple[float, float]:
    """What a question's score can be: from 0 to 1, or as far as a reward of one's own went."""
    return min(0.0, *scores), max(1.0, *scores)


def bootstrap_mean(values: np.ndarray, seed: int, least: float, most: float) -> Score:
    """Mean with the 95% BCa interval of 2,000 resamples; values lie between `least` and `most`.

    Where all n are alike, resampling cannot vary: up to Wilson's share z²/(n + z²) of all questions may still be of
    another kind, of which none was drawn, and lie anywhere. Source: Efron, JASA 82 (1987) 171–185; Wilson, JASA 22
    (1927) 209–212.
    """
    mean, n = float(values.mean()), len(values)
    if np.ptp(values) <= 8 * np.finfo(float).eps * np.abs(values).max():
        unseen = float(stats.binomtest(0, n).proportion_ci(CONFIDENCE, method="wilson").high)
        return Score(mean, mean - unseen * (mean - least), mean + unseen * (most - mean), n)
    interval = stats.bootstrap(
        (values,),
        np.mean,
        n_resamples=RESAMPLES,
        batch=max(1, BATCH_ENTRIES // n),
        confidence_level=CONFIDENCE,
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return Score(mean, float(interval.low), float(interval.high), n)


def grouped(scores: Iterable[tuple[int, float]]) -> dict[int, list[float]]:
    """(question, score) of every sample → question → its scores, in the order given."""
    found: dict[int, list[float]] = {}
    for question, score in scores:
        found.setdefault(question, []).append(score)
    return found


def by_question(scores: Iterable[tuple[int, float]]) -> list[float]:
    """(question, score) of every sample → the mean score of each question, in order."""
    return question_means(grouped(scores))


def cut_off_warning(share: float, what: str, limit: str, instead: str) -> str:
    """The line that says that many completions were cut off; empty where few were."""
    if share < MANY_CUT_OFF:
        return ""
    return (
        f"warning: {100 * share:.0f}% of {what} were cut off at {limit}, and are graded by what stands before that: "
        f"{instead}"
    )


LOW = 0.9  # share of the update


def survival_warning(survival: float, rollout: int) -> str:
    """What is said where an engine plays little of the update that was trained; nothing where it plays most of it."""
    if survival >= LOW:
        return ""
    return (
        f"warning: the engine plays {survival:.2f} of the trained update (sync_survival, rollout {rollout}): rounding "
        'to its type loses the rest; rollout.sync = "factors", or a wider model.dtype'
    )
