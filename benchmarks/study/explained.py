"""How much of what a run reaches its step explains, how much the method adds to that, and which step is best."""

from __future__ import annotations

import math
from statistics import median
from typing import Any

import numpy as np
from scipy import stats
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import LeaveOneGroupOut
from sklearn.preprocessing import OneHotEncoder, SplineTransformer

from benchmarks.study.claims import REWARD
from benchmarks.study.runs import Row, Runs

KNOTS = 5
REPEATS = 1000
FEW = 50  # runs without which a plateau is not asked
TOP = 3  # runs that reached most
GRID = 200  # steps at which the curve is read
ENDS = (0.025, 0.975)


def step_of(runs: Runs, row: Row, first: int | None) -> float:
    """A run's step in nats a token: the median over its (first) rollouts of what the first update of each cost."""
    logged = [one for one in runs.curve(row)["kl_rollout"][:first] if one]
    return median(logged) if logged else math.nan


def explained(runs: Runs, first: int | None) -> dict[str, Any]:
    """What of the reward a smooth curve of log₁₀ of the step explains, what the method, and what both.

    The step is that of the first so many rollouts, which the reward of the last ones cannot have made, or of all. The
    curve is a cubic spline with knots at quantiles. Shares are R², adjusted for how many parameters they took (Theil);
    `cells` is that of a mean for each method and rate, which is all that anything but the seed could explain;
    `held_out` is R² of the curve on methods that were left out one by one. `plateau` asks the same of the runs whose
    step lies where the curve is near its highest, where F also tests whether the methods differ: over all steps it
    could not, since runs that break differ far more than runs that do not. `up_to` asks it of those and of all with
    smaller steps, so that none of them broke by too large a one.
    """
    found = [(row, step_of(runs, row, first)) for row in runs.plain]
    rows = [row for row, step in found if math.isfinite(step)]
    sizes = [step for _, step in found if math.isfinite(step)]
    steps = np.log10(sizes).reshape(-1, 1)
    rewards = np.array([row["reward"] for row in rows])
    methods = np.array([[row["method"]] for row in rows])
    cells = np.array([[f"{row['method']} {row['lr']}"] for row in rows])
    best = best_step(steps, rewards, methods[:, 0])
    up_to = np.array(sizes) <= best["to"]
    near = up_to & (np.array(sizes) >= best["from"])
    return {
        "runs": len(rows),
        **shares(steps, rewards, methods),
        "cells": adjusted(dummies(cells), rewards),
        "held_out": held_out(steps, rewards, methods[:, 0]),
        "plateau": {"runs": int(near.sum()), **shares(steps[near], rewards[near], methods[near])}
        if near.sum() >= FEW
        else None,
        "up_to": {"runs": int(up_to.sum()), **shares(steps[up_to], rewards[up_to], methods[up_to])}
        if near.sum() >= FEW
        else None,
        "best": best,
        "at_best_rates": at_best_rates(runs, first),
        "points": points(runs, first),
    }


def points(runs: Runs, first: int | None) -> list[dict[str, Any]]:
    """Every plain run: its step over so many first rollouts and what it reached."""
    found = [(row, step_of(runs, row, first)) for row in runs.plain]
    return [
        {"method": row["method"], "lr": row["lr"], "step": nats(math.log10(step), 4), "reward": round(row["reward"], 4)}
        for row, step in found
        if math.isfinite(step)
    ]


def beside(runs: Runs, first: int | None, near: tuple[float, float]) -> dict[str, Any]:
    """What the runs of a model reach whose step is below, within and above another model's plateau.

    Of few runs there is no curve to be fitted: of each side that has any, their median, which a run that broke does not
    make, and the ends of their steps and rewards. `top` are the best runs of all, `own` each method's best.
    """
    found = points(runs, first)
    ranked = sorted(found, key=lambda one: -one["reward"])
    sides = {
        "below": [one for one in found if one["step"] < near[0]],
        "within": [one for one in found if near[0] <= one["step"] <= near[1]],
        "above": [one for one in found if one["step"] > near[1]],
    }
    return {
        "points": found,
        "near": list(near),
        "top": [one for one in ranked if one["reward"] >= ranked[TOP - 1]["reward"]],
        "own": {one["method"]: one for one in reversed(ranked)},
        "sides": {
            name: {
                "runs": len(side),
                "median": median(one["reward"] for one in side),
                **{of: [min(one[of] for one in side), max(one[of] for one in side)] for of in ("step", "reward")},
            }
            for name, side in sides.items()
            if side
        },
    }


def shares(steps: np.ndarray, rewards: np.ndarray, methods: np.ndarray) -> dict[str, Any]:
    """The adjusted R² of each, and an F test of what the methods add to the step."""
    curve, named = curve_of(steps), dummies(methods)
    both = np.hstack([curve, named])
    left, least = residuals(curve, rewards), residuals(both, rewards)
    added, free = named.shape[1], len(rewards) - both.shape[1] - 1
    f = float((left @ left - least @ least) / added / (least @ least / free)) if added and free > 0 else math.nan
    return {
        "by_step": adjusted(curve, rewards),
        "by_method": adjusted(named, rewards),
        "by_both": adjusted(both, rewards),
        "spread": float(rewards.std(ddof=1)),
        "f": f,
        "p": float(stats.f.sf(f, added, free)),
    }


def spline() -> SplineTransformer:
    """Cubic, with knots at quantiles; beyond the runs it stays as it is at their end."""
    return SplineTransformer(KNOTS, degree=3, knots="quantile", include_bias=False, extrapolation="constant")


def curve_of(steps: np.ndarray) -> np.ndarray:
    """The spline's regressors."""
    found: np.ndarray = spline().fit_transform(steps)
    return found


def dummies(names: np.ndarray) -> np.ndarray:
    """A column a name but the first."""
    found: np.ndarray = OneHotEncoder(drop="first", sparse_output=False).fit_transform(names)
    return found


def residuals(regressors: np.ndarray, values: np.ndarray) -> np.ndarray:
    """What least squares with a constant leaves."""
    found: np.ndarray = values - LinearRegression().fit(regressors, values).predict(regressors)
    return found


def adjusted(regressors: np.ndarray, values: np.ndarray) -> float:
    """1 − (1 − R²)(n − 1)/(n − p − 1)."""
    left = residuals(regressors, values)
    free = len(values) - regressors.shape[1] - 1
    if free <= 0:
        return math.nan
    return float(1 - (left @ left / free) / (np.var(values, ddof=1)))


def held_out(steps: np.ndarray, rewards: np.ndarray, methods: np.ndarray) -> float:
    """R² of the curve on methods that it was not fitted on."""
    said = np.empty_like(rewards)
    for fitted, held in LeaveOneGroupOut().split(steps, rewards, methods):
        said[held] = read(steps[fitted], rewards[fitted], steps[held])
    return float(1 - ((rewards - said) ** 2).sum() / ((rewards - rewards.mean()) ** 2).sum())


def best_step(steps: np.ndarray, rewards: np.ndarray, methods: np.ndarray, seed: int = 0) -> dict[str, Any]:
    """Where the curve is highest, in nats a token, and from where to where it is within REWARD of that.

    steps (runs, 1) are log₁₀. Intervals are a bootstrap over methods; the curve is read where 95% of the runs lie,
    since at its ends a spline says nothing.
    """
    grid = np.linspace(*np.quantile(steps, ENDS), GRID)
    places = grid.reshape(-1, 1)
    drawn, names = np.random.default_rng(seed), np.unique(methods)
    of = {name: np.flatnonzero(methods == name) for name in names}
    samples = (np.concatenate([of[name] for name in drawn.choice(names, len(names))]) for _ in range(REPEATS))
    peaks, firsts, lasts = np.transpose([plateau(read(steps[one], rewards[one], places)) for one in samples])
    values = read(steps, rewards, places)
    peak, first, last = plateau(values)
    return {
        "step": nats(grid[peak]),
        "interval": [nats(one) for one in np.quantile(grid[peaks], ENDS)],
        "reward": float(values[peak]),
        "within": REWARD,
        "from": nats(grid[first]),
        "from_interval": [nats(one) for one in np.quantile(grid[firsts], ENDS)],
        "to": nats(grid[last]),
        "to_interval": [nats(one) for one in np.quantile(grid[lasts], ENDS)],
        "curve": [[nats(place), round(float(value), 4)] for place, value in zip(grid, values, strict=True)],
    }


def read(steps: np.ndarray, rewards: np.ndarray, places: np.ndarray) -> np.ndarray:
    """The curve that is fitted to some runs, at other places (…, 1)."""
    of = spline()
    curve = LinearRegression().fit(of.fit_transform(steps), rewards)
    found: np.ndarray = curve.predict(of.transform(places))
    return found


def plateau(values: np.ndarray) -> tuple[int, int, int]:
    """Where a curve is highest, and the first and last place around it where it is within REWARD of that."""
    peak = int(values.argmax())
    below = np.flatnonzero(values < values[peak] - REWARD)
    return peak, int(below[below < peak].max(initial=-1)) + 1, int(below[below > peak].min(initial=len(values))) - 1


def at_best_rates(runs: Runs, first: int | None) -> dict[str, float]:
    """The step of each method at its own best rate, the median over seeds: the quartiles and ends of these."""
    steps = []
    for method in runs.methods:
        best = [row for row in runs.plain if (row["method"], row["lr"]) == (method, runs.best_rate(method))]
        found = [step for row in best if math.isfinite(step := step_of(runs, row, first))]
        steps += [median(found)] if found else []
    return {f"{share:g}": nats(float(np.quantile(np.log10(steps), share))) for share in (0, 0.25, 0.5, 0.75, 1)}


def nats(logarithm: float, digits: int = 3) -> float:
    """Of its log₁₀, in a few digits."""
    return float(f"{10.0**logarithm:.{digits}g}")
