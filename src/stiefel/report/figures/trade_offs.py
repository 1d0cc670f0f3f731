"""What a gain costs: KL to the base, other tasks, trained parameters, memory and time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import fmean

from ..evidence import Evidence
from ..groups import spanned
from ..ranking import Cell
from ..runs import Run
from ..table import peak
from ..vertical import vertical
from . import captions
from .drawing import Drawing, Missing
from .marks import Mark, mark
from .panels import Dots
from .scatter import Scatter, Spot
from .training import KL_BASE, REWARD, last_reward

BEST = "A full dot is a method at its best rate, a hollow one the same method at another; means over seeds"
NARROW = 0.05  # of a change, to either side of none: an axis shows so much at least
Measure = Callable[[Run], float | None]


def frontier(evidence: Evidence) -> Drawing | Missing:
    """Reward against the KL that it took: at the end of every cell, and along the training of the best ones."""
    spots = spots_of(evidence, end_of(KL_BASE.key), last_reward)
    if not spots:
        return Missing("needs finished runs with rewards and a KL to the base")
    paths = [spot for cell in best_cells(evidence) for spot in path(cell)]
    kl = vertical("symlog", [*numbers_across(spots), *numbers_across(paths)])
    up = vertical("linear", [*numbers_up(spots), *numbers_up(paths)])
    titles = "KL to the base, nats per token", "reward"
    panels = [Scatter("At the end of training", tuple(spots), *titles, kl, up)]
    if paths:
        panels.append(Scatter("Along training", tuple(paths), *titles, kl, up, path=True))
    caption = captions.joined(
        "Reward (mean of the last rollouts; along training, of each method at its best rate, a trailing mean) against "
        "KL(π_θ‖π_base), logarithmic above its first tick. Higher for the same KL is a better use of it.",
        f"{BEST}, thin lines from the lowest to the highest seed.",
    )
    return Drawing(tuple(panels), len(panels), caption, evidence.styles)


def forgetting(evidence: Evidence) -> Drawing | Missing:
    """The change on the tasks that were not trained against the gain on the one that was."""
    spots = spots_of(evidence, gain, kept)
    if not spots:
        return Missing("needs finished runs that measured the trained task and another one (eval.tasks)")
    titles = "gain on the trained task", "change on the other tasks"
    best = [spot for spot in spots if spot.full]
    panels = [
        Scatter(title, tuple(some), *titles, vertical("linear", numbers_across(some)),
                vertical("linear", [*numbers_up(some), -NARROW, NARROW]), levels=(0.0, 0.0))
        for title, some in (("Best rates", best), ("Every rate", spots))[: 1 if len(best) == len(spots) else 2]
    ]  # fmt: skip
    caption = captions.joined(
        "Change of accuracy on the tasks that were not trained (mean over them) against the gain on the trained one: "
        "up and to the right is better, below the dotted line something was forgotten.",
        f"{BEST}, thin lines from the lowest to the highest seed.",
    )
    return Drawing(tuple(panels), len(panels), caption, evidence.styles)


def parameters(evidence: Evidence) -> Drawing | Missing:
    """The score against the number of parameters that train."""
    counts = {run.manifest.trainable_parameters for run in evidence.runs if run.finished}
    found = evidence.ranking
    if isinstance(found, str) or len(counts - {None}) < 2:
        return Missing("needs methods that train different numbers of parameters")
    scores = {name: fmean(items.values()) for name, items in found.measure.scores.items()}
    spots = spots_of(evidence, lambda run: run.manifest.trainable_parameters, lambda run: scores.get(run.name))
    across = vertical("log", numbers_across(spots))
    up = vertical("linear", numbers_up(spots))
    panel = Scatter("Score and size", tuple(spots), "trained parameters", found.measure.short, across, up)
    caption = f"{found.measure.name.capitalize()} against the number of parameters that train. {BEST}."
    return Drawing((panel,), 1, caption, evidence.styles)


def costs(evidence: Evidence) -> Drawing | Missing:
    """Memory and time of each method at its best rate."""
    cells = best_cells(evidence)
    panels = []
    for title, axis, what, measure in (
        ("Time of training", "seconds", "seconds", total_seconds),
        ("Peak memory", "MiB", "MiB", peak_memory),
    ):
        marks = [one for cell in cells if (one := dot(cell, measure)) is not None]
        if marks:
            panels.append(Dots(title, tuple(marks), axis, what=what))
    if not panels:
        return Missing("needs finished runs that measured their time or memory")
    caption = captions.joined(
        "Wall-clock time of the rollouts with their updates and measurements, and the largest memory of a run (of the "
        "accelerator where there is one, else what the process had resident): each method at its best rate, or "
        "its only one, mean over seeds, the line through a dot from the lowest to the highest.",
        "Runs that shared a machine with others slow each other down.",
    )
    return Drawing(tuple(panels), len(panels), caption, evidence.styles)


def best_cells(evidence: Evidence) -> Sequence[Cell]:
    """Each method at its best rate, where methods can be ranked."""
    return () if isinstance(evidence.ranking, str) else evidence.ranking.best


def spots_of(evidence: Evidence, across: Measure, up: Measure) -> list[Spot]:
    """A dot for every cell whose runs have both measures."""
    if isinstance(evidence.ranking, str):
        return []
    found = []
    for cell in evidence.ranking.cells:
        both = [(x, y) for run in cell.runs if run.finished and (x := across(run)) is not None
                and (y := up(run)) is not None]  # fmt: skip
        if both:
            best = any(cell is one for one in evidence.ranking.best)
            at = f"rate {spanned(cell.rates)}"
            found.append(spot(cell, [x for x, _ in both], [y for _, y in both], full=best, said=at))
    return found


def spot(
    cell: Cell, across: Sequence[float], up: Sequence[float], *, full: bool, said: str, place: float = 0.0
) -> Spot:
    """The mean of the seeds with their range; on paper a single point has none."""
    return Spot(
        cell.series, fmean(across), fmean(up), min(up), max(up), len(up),
        left=min(across), right=max(across), full=full, place=place, said=said,
    )  # fmt: skip


def path(cell: Cell) -> list[Spot]:
    """Where a method was at each rollout at which its KL was measured, mean over its seeds."""
    at: dict[int, list[tuple[float, float]]] = {}
    for run in cell.runs:
        if run.finished:
            rewards = run.values(REWARD.key)
            for rollout, kl in run.values(KL_BASE.key):
                before = [value for step, value in rewards if step <= rollout][-REWARD.window :]
                if before:
                    at.setdefault(rollout, []).append((kl, fmean(before)))
    found = []
    for rollout, both in sorted(at.items()):
        x, y = fmean(kl for kl, _ in both), fmean(reward for _, reward in both)
        found.append(spot(cell, [x], [y], full=rollout == max(at), said=f"rollout {rollout}", place=rollout))
    return found


def end_of(metric: str) -> Measure:
    """The last value of a metric."""
    return lambda run: values[-1][1] if (values := run.values(metric)) else None


def gain(run: Run) -> float | None:
    """The mean gain of the trained tasks."""
    found = [run.scores[task].difference.mean for task in run.trained if task in run.scores]
    return fmean(found) if found else None


def kept(run: Run) -> float | None:
    """The mean change of the others."""
    found = [scores.difference.mean for task, scores in run.scores.items() if task not in (run.task, *run.trained)]
    return fmean(found) if found else None


def total_seconds(run: Run) -> float | None:
    """Of all rollouts."""
    found = [value for _, value in run.values("seconds")]
    return sum(found) if found else None


def peak_memory(run: Run) -> float | None:
    """In MiB."""
    found = [value for _, value in run.values("peak_memory_bytes")]
    return peak(found) / 2**20 if found else None


def dot(cell: Cell, measure: Measure) -> Mark | None:
    """One row: the mean over the finished seeds."""
    found = [value for run in cell.runs if run.finished and (value := measure(run)) is not None]
    return mark(cell.series, "", found) if found else None


def numbers_across(spots: Sequence[Spot]) -> list[float]:
    """What the x axis must hold."""
    return [value for one in spots for value in (one.left, one.right) if value is not None]


def numbers_up(spots: Sequence[Spot]) -> list[float]:
    """What the y axis must hold."""
    return [value for one in spots for value in (one.low, one.high) if value is not None]
