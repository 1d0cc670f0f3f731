"""Two evaluations of the same questions, compared question by question."""

from __future__ import annotations

import statistics
from dataclasses import asdict
from typing import Any

from ..errors import UserError
from ..scores import chances, paired_difference, question_means
from .directory import Evaluation
from .summary import readable


def require_same_questions(before: dict[str, Any], now: dict[str, Any], place: str) -> None:
    """Raise unless two evaluations' settings are of one task and its same questions."""
    if before["task"] != now["task"]:
        raise UserError(
            f"{place} is an evaluation of {before['task']}, this one of {now['task']}",
            "a difference is measured on the same questions",
            f"give --against a directory of {now['task']}",
        )
    if before["questions"] != now["questions"]:
        counts = before["questions"]["count"], now["questions"]["count"]
        raise UserError(
            f"{place} asked {counts[0]} questions, this one asks {counts[1]}"
            if counts[0] != counts[1]
            else f"{place} asked other questions",
            "a difference is measured on the same questions, with the same answers",
            "give the same --data and --limit for both",
        )


def compare_evaluations(before: Evaluation, now: Evaluation) -> dict[str, Any]:
    """The difference now − before with its 95% interval, paired by question; keys as in `scores`.

    `avg` compares the means of each one's own samples, `pass@k` is given for every k that both have samples for.
    `sampling` says in what the two were sampled differently.
    """
    require_same_questions(before.settings, now.settings, str(before.path))
    old, new = readable(before.samples), readable(now.samples)
    common = sorted(old.keys() & new.keys())
    old, new = ({question: values[question] for question in common} for values in (old, new))
    most = min(before.summary["samples"], now.summary["samples"])
    differences = {}
    if common:
        differences["avg"] = difference(question_means(old), question_means(new))
        for k in range(1, most + 1):
            differences[f"pass@{k}"] = difference(chances(old, k), chances(new, k))
    then, here = before.settings["sampling"], now.settings["sampling"]
    return {
        "against": str(before.path),
        "differences": differences,
        "sampling": {key: [then.get(key), here[key]] for key in here if then.get(key) != here[key]},
    }


def difference(before: list[float], after: list[float]) -> dict[str, Any]:
    """The paired difference with its interval, and the two means."""
    ends = {"before": statistics.fmean(before), "after": statistics.fmean(after)}
    return asdict(paired_difference(before, after)) | ends
