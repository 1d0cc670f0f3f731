"""Published scores of a recipe: by method and task, as fractions, whatever they were written as."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

AVERAGE = "average"  # in place of a task: the mean of several
BASE = "base"  # in place of a method: the model before training
METRIC = re.compile(r"avg|pass@[1-9]\d*")


class Published(NamedTuple):
    """A score, and its standard deviation over seeds where that was published too."""

    mean: float
    spread: float | None = None


def published_scores(scores: Mapping[str, Any], method: str, *, percent: bool) -> dict[str, Published]:
    """Task → score of one method as fractions; a score that stands under no method is every method's but the base's."""
    factor = 100.0 if percent else 1.0
    found: dict[str, Published] = {}
    for name, entry in scores.items():
        if isinstance(entry, Mapping):
            if parts(name) == parts(method):
                found |= {task: scaled(score, factor) for task, score in entry.items()}
        elif method != BASE:
            found.setdefault(name, scaled(entry, factor))
    return found


def parts(method: str) -> frozenset[str]:
    """What a method is made of: lora+dora, dora+lora and dora are one."""
    found = frozenset(method.split("+"))
    return found - {"lora"} or found


def scaled(score: Any, factor: float) -> Published:
    """A number, or [mean, spread], as fractions."""
    mean, spread = score if isinstance(score, list) else (score, None)
    return Published(mean / factor, None if spread is None else spread / factor)


def tasks_named(scores: Mapping[str, Any]) -> list[str]:
    """Every task of which there is a score, once."""
    names = [list(entry) if isinstance(entry, Mapping) else [name] for name, entry in scores.items()]
    return list(dict.fromkeys(task for found in names for task in found))


def methods_named(scores: Mapping[str, Any]) -> list[str]:
    """Every method that has a table of its own, the base left aside."""
    return [name for name, entry in scores.items() if isinstance(entry, Mapping) and name != BASE]


def numbers(scores: Mapping[str, Any]) -> list[float]:
    """Every mean that is written."""
    entries = [
        found for entry in scores.values() for found in (entry.values() if isinstance(entry, Mapping) else [entry])
    ]
    return [scaled(entry, 1.0).mean for entry in entries]


def check_scores(scores: Mapping[str, Any]) -> Mapping[str, Any]:
    """The scores, if each is a number or [mean, spread], by task or by method and task."""
    for name, entry in scores.items():
        inner = entry.items() if isinstance(entry, Mapping) else [(name, entry)]
        for task, score in inner:
            if not is_score(score):
                raise ValueError(f"{task} = {score!r} is neither a number nor [mean, spread]")
    return scores


def is_score(entry: Any) -> bool:
    """True for a number, or two of them."""
    values = entry if isinstance(entry, list) and len(entry) == 2 else [entry]
    return all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)


def check_metric(metric: str | Mapping[str, str]) -> str | Mapping[str, str]:
    """The metric, if it is avg or pass@k, or says so of each task."""
    for name in [metric] if isinstance(metric, str) else metric.values():
        if not METRIC.fullmatch(name):
            raise ValueError(f"{name!r} is neither avg nor pass@k")
    return metric
