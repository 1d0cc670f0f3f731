"""Where a small model can reproduce a direction alone: the published order of methods beside ours."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

from ..report import Run
from .numbers import published_by_method, task_score
from .work import Work


@dataclass(frozen=True)
class Order:
    """Methods with their scores, the best first, as published and as measured; the pairs that are alike."""

    by: str
    published: dict[str, float]
    ours_by: str
    ours: dict[str, float]
    alike: int
    pairs: int
    seeds: int  # of each method, at least

    def to_json(self) -> dict[str, Any]:
        """For reproduction.json."""
        return asdict(self)


def order_of(work: Work, runs: Sequence[Run]) -> Order | None:
    """The methods that were both published and finished here, where the entry names a score to put them in order by."""
    if not work.entry.order or work.is_papers:
        return None
    theirs, ours, seeds = {}, {}, []
    for method, expected in published_by_method(work.published.values()).items():
        score = expected.of(method).get(work.entry.order)
        values = [v for run in runs if run.method == method and (v := trained_score(run)) is not None]
        if score is not None and values:
            theirs[method], ours[method] = score.mean, statistics.fmean(values)
            seeds.append(len(values))
    if len(ours) < 2:
        return None
    two = list(combinations(ours, 2))
    alike = sum((theirs[a] - theirs[b]) * (ours[a] - ours[b]) > 0 for a, b in two)
    return Order(work.entry.order, best_first(theirs), runs[0].task, best_first(ours), alike, len(two), min(seeds))


def trained_score(run: Run) -> float | None:
    """The accuracy of what was trained, of a mixture its tasks' mean."""
    values = [value for task in run.trained if (value := task_score(run, task, "avg")) is not None]
    return statistics.fmean(values) if len(values) == len(run.trained) else None


def best_first(scores: dict[str, float]) -> dict[str, float]:
    """By falling score."""
    return dict(sorted(scores.items(), key=lambda entry: -entry[1]))
