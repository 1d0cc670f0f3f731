"""How much of what a run reaches its step explains, how much the method adds to that, and which step is best."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean, median
from typing import Any

import numpy as np
from scipy import stats
from sklearn.linear_model import LinearRegression
from sklearn.preprocessing import OneHotEncoder, SplineTransformer

from benchmarks.study.claims import REWARD
from benchmarks.study.decided import t_interval
from benchmarks.study.runs import Row, Runs

KNOTS = 5
REPEATS = 1000
GRID = 200  # steps at which the curve is read
ENDS = (0.025, 0.975)


def step_of(runs: Runs, row: Row, first: int | None) -> float:
    """A run's step in nats a token: the median over its (first) rollouts of what the first update of each cost."""
    logged = [one for one in runs.curve(row)["kl_rollout"][:first] if one]
    return median(logged) if logged else math.nan


def explained(runs: Runs, first: int | None) -> dict[str, Any]:
    """R² of the reward by a smooth curve of log₁₀ of the step, and by that and the method; what a method is above it.

    The step is that of the first so many rollouts, which the reward of the last ones cannot have made, or of all.

    The curve is a cubic spline with knots at quantiles. F tests whether the methods differ at an equal step, as if
    seeds were independent runs, which they nearly are: what they share is the questions' order.
    """
    found = [(row, step_of(runs, row, first)) for row in runs.plain]
    rows = [row for row, step in found if math.isfinite(step)]
    sizes = [step for _, step in found if math.isfinite(step)]
    steps = np.log10(sizes).reshape(-1, 1)
    rewards = np.array([row["reward"] for row in rows])
    methods = np.array([[row["method"]] for row in rows])
    curve = SplineTransformer(KNOTS, degree=3, knots="quantile", include_bias=False).fit_transform(steps)
    dummies = OneHotEncoder(drop="first", sparse_output=False).fit_transform(methods)
    both = np.hstack([curve, dummies])
    left = residuals(curve, rewards)
    least = residuals(both, rewards)
    total = float(((rewards - rewards.mean()) ** 2).sum())
    added, free = dummies.shape[1], len(rows) - both.shape[1] - 1
    f = float((left @ left - least @ least) / added / (least @ least / free))
    only = residuals(dummies, rewards)
    return {
        "runs": len(rows),
        "by_step": 1 - float(left @ left) / total,
        "by_method": 1 - float(only @ only) / total,
        "by_both": 1 - float(least @ least) / total,
        "f": f,
        "p": float(stats.f.sf(f, added, free)),
        "above": above(rows, left),
        "best": best_step(steps, rewards, methods[:, 0]),
        "points": [
            {"method": row["method"], "lr": row["lr"], "step": float(f"{step:.4g}"), "reward": round(row["reward"], 4)}
            for row, step in zip(rows, sizes, strict=True)
        ],
    }


def best_step(steps: np.ndarray, rewards: np.ndarray, methods: np.ndarray, seed: int = 0) -> dict[str, Any]:
    """Where the curve is highest, in nats a token, and from where to where it is within REWARD of that.

    steps (runs, 1) are log₁₀. The interval of the highest place is a bootstrap over methods; the curve is read where
    95% of the runs lie, since at its ends a spline says nothing.
    """
    grid = np.linspace(*np.quantile(steps, ENDS), GRID).reshape(-1, 1)

    def read(places: np.ndarray) -> np.ndarray:
        spline = SplineTransformer(KNOTS, degree=3, knots="quantile", include_bias=False).fit(steps)
        curve = LinearRegression().fit(spline.transform(steps[places]), rewards[places])
        found: np.ndarray = curve.predict(spline.transform(grid))
        return found

    drawn, names = np.random.default_rng(seed), np.unique(methods)
    of = {name: np.flatnonzero(methods == name) for name in names}
    peaks = [
        float(grid[read(np.concatenate([of[name] for name in drawn.choice(names, len(names))])).argmax(), 0])
        for _ in range(REPEATS)
    ]
    values = read(np.arange(len(rewards)))
    peak = int(values.argmax())
    below = np.flatnonzero(values < values[peak] - REWARD)
    first, last = below[below < peak].max(initial=-1) + 1, below[below > peak].min(initial=GRID) - 1
    return {
        "step": nats(grid[peak, 0]),
        "interval": [nats(one) for one in np.quantile(peaks, ENDS)],
        "reward": float(values[peak]),
        "within": REWARD,
        "from": nats(grid[first, 0]),
        "to": nats(grid[last, 0]),
    }


def nats(logarithm: float) -> float:
    """Of its log₁₀, in three digits."""
    return float(f"{10.0**logarithm:.3g}")


def residuals(regressors: np.ndarray, values: np.ndarray) -> np.ndarray:
    """What least squares with a constant leaves."""
    found: np.ndarray = values - LinearRegression().fit(regressors, values).predict(regressors)
    return found


def above(rows: Sequence[Row], left: np.ndarray) -> dict[str, Any]:
    """By method how far its runs end above the curve: a value a seed, so that the interval is over seeds."""
    found: dict[str, Any] = {}
    for method in dict.fromkeys(row["method"] for row in rows):
        by_seed: dict[int, list[float]] = {}
        for row, one in zip(rows, left, strict=True):
            if row["method"] == method:
                by_seed.setdefault(row["seed"], []).append(float(one))
        values = [fmean(each) for each in by_seed.values()]
        found[method] = {"mean": fmean(values), "interval": t_interval(values) if len(values) > 1 else None}
    return found
