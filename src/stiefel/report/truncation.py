"""What a limit on the length of completions cut off, in the rollouts and in the answers after training."""

from __future__ import annotations

import statistics

from ..scores import cut_off_warning
from .falls import fall
from .runs import Run
from .table import ends


def of_rollouts(run: Run) -> tuple[float, float] | None:
    """The share of the first and of the last rollouts' completions; None where it was not measured."""
    shares = [value for _, value in run.values("truncated_fraction")]
    return ends(shares) if shares else None


def of_tasks(run: Run) -> dict[str, float]:
    """The share of the answers after training, by task."""
    cut: dict[str, list[bool]] = {}
    for sample in run.kept.grades:
        if sample.when == "after":
            cut.setdefault(sample.task, []).append(sample.truncated)
    return {task: statistics.fmean(found) for task, found in cut.items()}


def warnings(run: Run) -> list[str]:
    """What is said of a run of which many completions were cut off."""
    limit, longer = run.recipe.rollout.max_completion_tokens, "rollout.max_completion_tokens may be too short"
    if fall(run) is not None:  # a policy that is broken writes without end
        longer = "this run fell, and a broken policy writes without end"
    rollouts = of_rollouts(run)
    found = []
    if rollouts is not None:
        found.append(cut_off_warning(rollouts[1], "the last rollouts' completions", f"{limit} tokens", longer))
    by_task = run.recipe.eval.sampling == "task"
    place = "its own limit" if by_task else f"{limit} tokens"
    instead = "that may be too short" if by_task and fall(run) is None else longer
    found += [
        cut_off_warning(share, f"the answers to {task} after training", place, instead)
        for task, share in of_tasks(run).items()
    ]
    return [line for line in found if line]
