"""Table rows → the words and figures of their cells, for Markdown, HTML and the terminal alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from .groups import spanned
from .numbers import NONE, figure, interval, mean
from .table import Figure, TableRow
from .task_columns import Column, task_columns


@dataclass(frozen=True)
class Cells:
    """A table of text; the first `names` columns are names, the others figures."""

    header: tuple[str, ...]
    body: tuple[tuple[str, ...], ...]
    names: int


def cells(rows: Sequence[TableRow]) -> Cells:
    """Every figure of the table."""
    columns: list[Column] = [
        *(("method", label), ("learning rate", learning_rate), ("seeds", seeds), ("reward, first → last", rewards)),
        ("peak gradient norm", lambda row: figure(row.peak_grad_norm, ".3g")),
        ("KL to base", lambda row: figure(row.kl_base, ".3g")),
        *([("truncated", lambda row: figure(row.truncated))] if any(row.truncated.mean for row in rows) else []),
        *capped_columns(rows),
        *([("validation", lambda row: figure(row.validation))] if validated(rows) else []),
        *task_columns(rows),
        ("trained parameters", lambda row: count(row.trainable_parameters)),
        ("of the base", lambda row: percent(row.trained_share)),
        ("peak memory, MiB", lambda row: figure(mebibytes(row.peak_memory), ",.0f")),
        ("seconds", lambda row: figure(row.seconds, ".0f")),
    ]
    if any(row.not_applicable for row in rows):
        columns.append(("not applicable", lambda row: ", ".join(row.not_applicable) or NONE))
    header = tuple(name for name, _ in columns)
    return Cells(header, tuple(tuple(cell(row) for _, cell in columns) for row in rows), names=1)


def validated(rows: Sequence[TableRow]) -> bool:
    """Whether runs were measured on a validation split."""
    return any(row.validation.mean is not None for row in rows)


def capped_columns(rows: Sequence[TableRow]) -> list[Column]:
    """What the updates cost and how many were shortened, where a cap measured it: the step that methods are held to."""
    if all(row.kl_update.mean is None for row in rows):
        return []
    return [
        ("dearest update, KL to the policy before it", lambda row: figure(row.kl_update, ".2g")),
        ("updates shortened", lambda row: percent(row.capped.mean)),
    ]


def label(row: TableRow) -> str:
    """The method, in its variant."""
    return row.series.label


def learning_rate(row: TableRow) -> str:
    """As people write it, or from the lowest to the highest seed's."""
    return spanned(row.rates)


def seeds(row: TableRow) -> str:
    """Those that are finished."""
    return ", ".join(map(str, row.seeds)) or "none finished"


def rewards(row: TableRow) -> str:
    """Of the first and the last rollouts."""
    return f"{figure(row.first_reward)} → {figure(row.last_reward)}" if row.seeds else NONE


def count(number: int | None) -> str:
    """77,824."""
    return NONE if number is None else f"{number:,}"


def percent(share: float | None) -> str:
    """Three significant digits; 0.00292%, 1.55%, 100%."""
    return NONE if share is None else f"{100 * share:.3g}%"


def mebibytes(memory: Figure) -> Figure:
    """The same in MiB."""
    mean, spread = memory.mean, memory.spread
    return Figure(
        None if mean is None else mean / 2**20, None if spread is None else spread / 2**20, finite=memory.finite
    )


def narrow_cells(rows: Sequence[TableRow]) -> Cells:
    """What fits into 100 columns: two digits, a spread for the last reward only, other skills as their mean."""
    split = validated(rows)  # in place of a figure that says less where rates are compared
    header = ("method", "rate", "reward", "validation" if split else "grad peak", "KL to base", "accuracy")
    return Cells((*header, "gain [95%]", "kept"), tuple(narrow_row(row, split=split) for row in rows), names=1)


def narrow_row(row: TableRow, *, split: bool) -> tuple[str, ...]:
    """One row, in the order of `narrow_cells`."""
    trained = row.tasks.get(row.task)
    kept = [figures for name, figures in row.tasks.items() if name not in (row.task, *row.trained)]
    return (
        row.series.label,
        learning_rate(row),
        f"{mean(row.first_reward, '.2f')} → {figure(row.last_reward, '.2f')}" if row.seeds else "unfinished",
        figure(row.validation, ".2f") if split else mean(row.peak_grad_norm, ".2g"),
        mean(row.kl_base, ".2g"),
        f"{trained.before.mean:.2f} → {trained.after.mean:.2f}" if trained else NONE,
        f"{trained.gain.mean:+.2f} {interval(trained.gain, '+.2f')}" if trained else NONE,
        f"{fmean(one.before.mean for one in kept):.2f} → {fmean(one.after.mean for one in kept):.2f}" if kept else NONE,
    )
