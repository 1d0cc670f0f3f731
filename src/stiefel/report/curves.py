"""Runs → the points of a chart: one curve per series, the mean over its seeds with their range."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from .groups import Group
from .runs import Run
from .series import Series, ordered, series_of
from .table import WINDOW


@dataclass(frozen=True)
class Metric:
    """A column of metrics.jsonl as it is drawn; `window` > 1 draws its trailing mean over that many rollouts."""

    key: str
    title: str
    meaning: str
    scale: Literal["linear", "symlog"] = "linear"
    window: int = 1
    steps: str = "rollout"  # what it is measured over
    shown_at_zero: bool = True  # drawn also where it is 0 throughout
    axis: str = ""  # beside the y axis, where the title alone leaves room for another meaning

    @property
    def name(self) -> str:
        """The title inside a sentence."""
        return self.title if self.title.startswith("KL") else self.title[:1].lower() + self.title[1:]


METRICS = (
    Metric("reward", "Reward", "mean reward of the rollout's completions", window=WINDOW),
    Metric(
        "kl_base",
        "KL to the base",
        "divergence of the policy from the base model, nats per token: how far training went in all",
        "symlog",
        axis="KL(π_θ‖π_base)",
    ),
    Metric("grad_norm", "Gradient norm", "norm of the gradient before clipping, mean of the updates", "symlog"),
    Metric("completion_length", "Completion length", "mean tokens of the rollout's completions"),
    Metric(
        "truncated_fraction", "Truncated", "share of the rollout's completions that were cut off", shown_at_zero=False
    ),
    Metric(
        "engine_mismatch", "Engine mismatch", "mean |log π_trainer − log π_engine| over the sampled tokens", "symlog"
    ),
    Metric(
        "kl_update",
        "KL of an update to the policy before it",
        "divergence of the policy from itself before a rollout's dearest update, nats per token: how large a step was",
        "symlog",
        axis="KL(π_new‖π_before)",
    ),
    Metric("step_scale", "Update kept", "share of a rollout's most shortened update that optim.kl_cap left"),
    Metric("sync_survival", "Update survival", "share of the trained update that the engine plays"),
    Metric(
        "loss", "Loss", "cross-entropy of the reference answers' tokens, nats per token", window=WINDOW, steps="update"
    ),
)


@dataclass(frozen=True)
class Point:
    """One rollout of one series; `value` is None where a seed's value is not finite, which leaves a gap."""

    series: Series
    rollout: int
    value: float | None
    low: float | None
    high: float | None
    raw: float | None  # the mean over seeds before the trailing mean
    seeds: int


def points(runs: Sequence[Run], metric: Metric, group: Group, names: Mapping[str, Series] | None = None) -> list[Point]:
    """Every point of one chart; `names` where the runs are some of those that are compared."""
    names = names if names is not None else series_of(runs)
    chosen = [run for run in runs if run.group == group and run.rows]
    found = []
    for series in ordered(names[run.name] for run in chosen):
        smooth: dict[int, list[float]] = defaultdict(list)
        raw: dict[int, list[float]] = defaultdict(list)
        for run in chosen:
            if names[run.name] == series:
                values = run.values(metric.key)
                means = trailing_mean([value for _, value in values], metric.window)
                for (rollout, value), smoothed in zip(values, means, strict=True):
                    raw[rollout].append(value)
                    smooth[rollout].append(smoothed)
        found += [point(series, rollout, smooth[rollout], raw[rollout]) for rollout in sorted(raw)]
    return found


def point(series: Series, rollout: int, smooth: Sequence[float], raw: Sequence[float]) -> Point:
    """One rollout over the seeds that reached it."""
    whole = all(math.isfinite(number) for number in smooth)
    return Point(
        series,
        rollout,
        value=mean(smooth),
        low=rounded(min(smooth)) if whole else None,
        high=rounded(max(smooth)) if whole else None,
        raw=mean(raw),
        seeds=len(raw),
    )


def trailing_mean(numbers: Sequence[float], window: int) -> list[float]:
    """The mean of each number and of those before it, at most `window` of them; NaN where one is not finite."""
    return [statistics.fmean(numbers[max(0, end - window) : end]) for end in range(1, len(numbers) + 1)]


def mean(numbers: Sequence[float]) -> float | None:
    """The mean over seeds; None if a seed's number is not finite."""
    found = statistics.fmean(numbers)
    return rounded(found) if math.isfinite(found) else None


def rounded(number: float) -> float:
    """Six significant digits: finer than any pixel, and it keeps the page small."""
    return float(f"{number:.6g}")


def numbers(charts: Sequence[Sequence[Point]]) -> list[float]:
    """Everything that several charts draw."""
    return [
        number
        for chart in charts
        for point in chart
        for number in (point.value, point.low, point.high, point.raw)
        if number is not None
    ]
