"""The methods in their order, and every two of them against each other."""

from __future__ import annotations

from ..evidence import Evidence
from ..groups import spanned
from ..pairs import SURE, Pair
from ..ranking import Cell
from ..words import counted, listed
from .drawing import Drawing, Missing
from .forest import Forest, RowMark

FULL = 15  # pairs that one picture holds; of more, those with the highest method


def ranked(evidence: Evidence) -> Drawing | Missing:
    """A row a method at its best rate, the highest first."""
    found = evidence.ranking
    if isinstance(found, str):
        return Missing(f"has nothing to show: {found}")
    if len(found.best) < 2:
        return Missing("needs finished runs of two methods or more")
    marks = tuple(row(cell) for cell in found.best)
    how = sorted({cell.estimate.over for cell in found.best if cell.estimate.over})
    caption = (
        f"{found.measure.name.capitalize()} of each method at {found.at}, the highest first, with its 95% "
        f"interval{f' over {listed(how)}' if how else ''}."
    )
    panel = Forest(f"Each method at {found.at}", marks, found.measure.short, what=found.measure.short)
    return Drawing((panel,), 1, caption, evidence.styles)


def row(cell: Cell) -> RowMark:
    """A method's mean and interval."""
    found = cell.estimate
    said = f"{counted(len(cell.scores), 'seed')}, rate {spanned(cell.rates)}"
    return RowMark(
        cell.series, cell.series.label, found.mean, found.low, found.high, len(cell.scores), full=True, said=said
    )


def compared(evidence: Evidence) -> Drawing | Missing:
    """A row a pair: how far the higher one is above the other."""
    if isinstance(evidence.ranking, str) or len(evidence.ranking.best) < 2:
        return Missing("needs finished runs of two methods or more")
    every = evidence.pairs
    if not every:
        return Missing("needs two methods with finished runs of one seed")
    shown = every if len(every) <= FULL else [one for one in every if one.of(evidence.ranking.best[0])]
    marks = tuple(difference(one) for one in shown)
    tested = sum(one.p is not None for one in every)
    caption = (
        f"Difference in {evidence.ranking.measure.name} of every two methods, each at {evidence.ranking.at}, paired "
        "by seed and question, with its 95% interval. A full dot is a difference that stands after Holm's "
        f"correction for {counted(tested, 'comparison')} (below {SURE:g}); a hollow one decides nothing."
        + ("" if len(shown) == len(every) else f" Of the {len(every)} pairs, those with the highest method are drawn.")
    )
    axis = f"difference in {evidence.ranking.measure.short}"
    panel = Forest("Differences", marks, axis, (0.0,), zero=True, what="difference")
    return Drawing((panel,), 1, caption, evidence.styles)


def difference(one: Pair) -> RowMark:
    """A pair's row, in the colour of the higher method."""
    name = f"{one.higher.series.label} − {one.lower.series.label}"
    said = f"{counted(len(one.seeds), 'seed')}, {one.ahead} of them above 0"
    low = one.difference if one.low is None else one.low
    high = one.difference if one.high is None else one.high
    return RowMark(one.higher.series, name, one.difference, low, high, len(one.seeds), full=one.decided, said=said)
