"""The sentences that captions share, made from the runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from ..evidence import Evidence
from ..groups import Group, rate
from ..runs import Run
from ..words import counted, listed, steps

RANGE = "goes from the lowest to the highest seed"


def seeds(evidence: Evidence, runs: Sequence[Run], band: str = "band", spans: str = RANGE) -> str:
    """How many seeds a line is the mean of, and what the band is."""
    counts = sorted(set(Counter((evidence.series[run.name], run.group) for run in runs).values()))
    if counts == [1]:
        return f"One seed each ({listed(sorted({run.seed for run in runs}))})."
    number = str(counts[-1]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    return f"Mean over {number} seeds; the {band} {spans}."


def ended_early(runs: Sequence[Run]) -> str:
    """Which curves stop before their run's length, as those of runs that diverged do; empty where none does."""
    early = [
        f"{run.name} ({'unfinished' if run.manifest.status == 'running' else run.manifest.status}, "
        f"{counted(len(run.rows), steps(run))})"
        for run in runs
        if not run.finished
    ]
    return f"Drawn as far as they go: {listed(early)}." if early else ""


def not_measured(evidence: Evidence, runs: Sequence[Run]) -> str:
    """Which runs a figure of the weights leaves out, and why; empty where it has them all."""
    by_reason: dict[str, list[str]] = {}
    for run in runs:
        if run.name in evidence.unmeasured:
            by_reason.setdefault(evidence.unmeasured[run.name], []).append(run.name)
    if not by_reason:
        return ""
    return "Left out: " + "; ".join(f"{listed(names)} ({reason})" for reason, names in by_reason.items()) + "."


def at_rate(group: Group, groups: Sequence[Group]) -> str:
    """What a panel's title says of its learning rate, where there are several."""
    return f", {group.short}" if len(groups) > 1 else ""


def rates(runs: Sequence[Run]) -> str:
    """At which learning rate a figure is drawn."""
    found = sorted({run.lr for run in runs})
    return f"Learning {'rate' if len(found) == 1 else 'rates'} {listed(map(rate, found))}."


def joined(*sentences: str) -> str:
    """A caption of those that are not empty."""
    return " ".join(sentence for sentence in sentences if sentence)
