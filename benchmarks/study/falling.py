"""Can a fall be foreseen from a run's first rollouts? Fitted on some methods and a model, judged on others."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss, roc_auc_score
from sklearn.model_selection import LeaveOneGroupOut
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.study.runs import Row, Runs
from stiefel.report.falls import SHARE, windows
from stiefel.report.table import WINDOW

FIRST = 10  # rollouts that are looked at
ALARMS = (0.05, 0.1)  # shares of runs that do not fall which one might be warned of in vain
SMALL = 1e-9  # nats and norms are logged with more than this, or are 0
BINS = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0)
REPEATS = 1000

Feature = Callable[[Row], float]


def early(curve: Row, name: str) -> list[float]:
    """What was logged in the first rollouts."""
    return [one for one in curve.get(name, [])[:FIRST] if one is not None]


def log_largest(name: str) -> Feature:
    """log₁₀ of the largest of the first rollouts."""
    return lambda curve: math.log10(max([*early(curve, name), SMALL]))


def rise(name: str) -> Feature:
    """The mean of the second half of the first rollouts less that of the first half."""

    def value(curve: Row) -> float:
        logged = early(curve, name)
        half = len(logged) // 2
        return fmean(logged[half:]) - fmean(logged[:half])

    return value


def shape(name: str, scale: Callable[[float], float]) -> Feature:
    """What the last geometry of the first rollouts says of ΔW; 0 where the method has none."""

    def value(curve: Row) -> float:
        found = [one[name] for one in curve["geometry"] if one["step"] <= FIRST and one.get(name)]
        return scale(found[-1]) if found else 0.0

    return value


FEATURES: dict[str, Feature] = {
    "log10 kl_step, largest": log_largest("kl_step"),
    "log10 kl_rollout, largest": log_largest("kl_rollout"),
    "log10 kl_base, largest": log_largest("kl_base"),
    "log10 grad_norm_max, largest": log_largest("grad_norm_max"),
    "clip_fraction, log10 of the largest": log_largest("clip_fraction"),
    "entropy, rise": rise("entropy"),
    "reward, rise": rise("reward"),
    "log10 effective rank of ΔW": shape("effective_rank", math.log10),
    "log10 ‖ΔW‖/‖W‖": shape("relative", math.log10),
}
STEP_ALONE = ("log10 kl_rollout, largest",)


@dataclass(frozen=True)
class Case:
    """A run that had not fallen in its first rollouts: what they said, and whether it fell after them."""

    method: str
    model: str
    features: tuple[float, ...]
    fell: bool


def fell_at(rewards: Sequence[float], rollouts: int) -> int | None:
    """The rollout by which a run had fallen to below half of its best window; None where it never had.

    A run that is shorter than it was asked to be diverged at its end. A run counts that is down at its end.
    """
    if len(rewards) < rollouts:
        return len(rewards)
    means = windows(rewards)
    if not means or means[-1] >= SHARE * max(means):
        return None
    return next(end for end, one in enumerate(means, WINDOW) if one < SHARE * max(means[: end - WINDOW + 1]))


def cases(runs: Runs) -> list[Case]:
    """Every plain run that is still up after its first rollouts."""
    found = []
    for row in runs.plain:
        curve = runs.curve(row)
        rollouts = max(each["rollouts"] for each in runs.plain)
        at = fell_at(curve["reward"], rollouts)
        if len(curve["reward"]) > FIRST and (at is None or at > FIRST):
            values = tuple(feature(curve) for feature in FEATURES.values())
            found.append(Case(row["method"], runs.model, values, at is not None))
    return found


def model_of() -> Pipeline:
    """Logistic regression on standardised features, a run as much as a run, with an L2 penalty of 1."""
    return make_pipeline(StandardScaler(), LogisticRegression(C=1.0, max_iter=1000))


def arrays(found: Sequence[Case], names: Sequence[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features, falls, methods."""
    places = [list(FEATURES).index(name) for name in names]
    features = np.array([[case.features[place] for place in places] for case in found])
    return features, np.array([case.fell for case in found]), np.array([case.method for case in found])


def foreseen(on: Sequence[Case], other: Sequence[Case], seed: int = 0) -> dict[str, Any]:
    """By all features, and by the step alone: on methods held out one by one, and on another model."""
    found: dict[str, Any] = {
        "first": FIRST,
        "runs": len(on),
        "falls": sum(case.fell for case in on),
        "methods": len({case.method for case in on}),
        "other_runs": len(other),
        "other_falls": sum(case.fell for case in other),
    }
    for kind, names in (("all", tuple(FEATURES)), ("step", STEP_ALONE)):
        features, fell, methods = arrays(on, names)
        if len(set(fell)) < 2:
            continue
        chances, warned = np.empty(len(fell)), np.empty((len(ALARMS), len(fell)), bool)
        for fitted, held in LeaveOneGroupOut().split(features, fell, methods):
            model = model_of().fit(features[fitted], fell[fitted])
            chances[held] = model.predict_proba(features[held])[:, 1]
            warned[:, held] = chances[held] >= thresholds(model, features[fitted], fell[fitted])
        found[kind] = judged(fell, chances, warned, methods, seed)
        model = model_of().fit(features, fell)
        found[kind]["weights"] = dict(zip(names, map(float, model[-1].coef_[0]), strict=True))
        if other:
            unseen, truth, _ = arrays(other, names)
            said = model.predict_proba(unseen)[:, 1]
            found[kind]["other"] = judged(truth, said, said >= thresholds(model, features, fell), None, seed)
    return found


def thresholds(model: Pipeline, features: np.ndarray, fell: np.ndarray) -> np.ndarray:
    """The probabilities (ALARMS, 1) from which on so many of the runs that it was fitted on are warned of in vain."""
    said = model.predict_proba(features[~fell])[:, 1]
    found: np.ndarray = np.quantile(said, [1 - share for share in ALARMS]).reshape(-1, 1)
    return found


def judged(
    fell: np.ndarray, chances: np.ndarray, warned: np.ndarray, groups: np.ndarray | None, seed: int
) -> dict[str, Any]:
    """AUC, calibration, and what each rule (ALARMS, runs) finds; the AUC's interval is a bootstrap over methods."""
    found: dict[str, Any] = {
        "auc": float(roc_auc_score(fell, chances)) if len(set(fell)) > 1 else None,
        "found": [float(one[fell].mean()) if fell.any() else None for one in warned],
        "false_alarms": [float(one[~fell].mean()) if (~fell).any() else None for one in warned],
        "brier": float(brier_score_loss(fell, chances)),
        "brier_of_the_share": float(fell.mean() * (1 - fell.mean())),
        "bins": [],
    }
    for low, high in pairwise(BINS):
        inside = (chances >= low) & ((chances < high) | (high == BINS[-1]))
        if inside.any():
            said, came = float(chances[inside].mean()), float(fell[inside].mean())
            found["bins"].append({"runs": int(inside.sum()), "said": said, "came": came})
    if groups is not None:
        found["interval"] = bootstrap(fell, chances, groups, seed)
    return found


def bootstrap(fell: np.ndarray, chances: np.ndarray, groups: np.ndarray, seed: int) -> list[float]:
    """The middle 95% of the AUC where methods are drawn with replacement."""
    drawn, names = np.random.default_rng(seed), np.unique(groups)
    values = []
    for _ in range(REPEATS):
        places = np.concatenate([np.flatnonzero(groups == name) for name in drawn.choice(names, len(names))])
        if len(set(fell[places])) > 1:
            values.append(roc_auc_score(fell[places], chances[places]))
    return [float(one) for one in np.quantile(values, (0.025, 0.975))]
