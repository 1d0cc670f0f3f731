"""DAPO's soft overlong punishment, as a reward function beside correctness."""

from __future__ import annotations

from typing import Any, Protocol

# correctness counts 0 or 1: twice it, less one, is verl's ±1
WEIGHTS = [2.0, 1.0]  # of [correctness, OverlongShaping]


class Scored(Protocol):
    """A reward function that remembers its last scores."""

    scores: list[float | None]


class OverlongShaping:
    """What is added to 2·correct: −1 + penalty·min(0, −(length − (L − buffer))/buffer), so that the sum is verl's.

    The punishment grows from 0 at L − buffer tokens to −penalty at the limit L, the end-of-sequence token counted. Kept
    apart from correctness, which dynamic sampling and the metrics read by itself. Source: arXiv:2503.14476, Eq. 13; the
    scale is that of verl's `dapo` reward manager, where a completion is worth +1 or −1. With TRL's 0 and 1 the same
    punishment would weigh twice as much.
    """

    def __init__(self, limit: int, buffer: int, penalty: float, correctness: Scored | None = None) -> None:
        self.__name__ = "overlong"  # TRL names the reward's metrics after it
        from trl.rewards import get_soft_overlong_punishment  # verl's processes grade without TRL

        self._punishment = get_soft_overlong_punishment(limit, buffer)
        self._penalty = penalty
        self._correctness = correctness

    def __call__(self, completion_ids: list[list[int]], **columns: Any) -> list[float | None]:
        """The shaping of each completion; none of one whose answer cannot be read, which has no correctness either."""
        shaped = [self._penalty * punishment - 1.0 for punishment in self._punishment(completion_ids)]
        if self._correctness is None:
            return list(shaped)
        known = self._correctness.scores  # TRL asks for these of the same completions just before
        return [None if score is None else value for value, score in zip(shaped, known, strict=True)]
