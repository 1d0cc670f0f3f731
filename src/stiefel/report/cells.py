"""Table rows → the words and figures of their cells, for Markdown, HTML and the terminal alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from .table import Accuracy, Figure, TableRow, TaskFigures

NONE, NOT_FINITE = "—", "not finite"


@dataclass(frozen=True)
class Cells:
    """A table of text; the first `names` columns are names, the others figures."""

    header: tuple[str, ...]
    body: tuple[tuple[str, ...], ...]
    names: int


def rate(lr: float) -> str:
    """0.0003 → 3e-4."""
    if lr == 0:
        return "0"
    mantissa, exponent = f"{lr:e}".split("e")
    return f"{float(mantissa):g}e{int(exponent)}"


def cells(rows: Sequence[TableRow]) -> Cells:
    """Every figure of the table."""
    tasks = list(dict.fromkeys(row.task for row in rows))
    trained = tasks[0] if len(tasks) == 1 else "trained task"
    others = list(dict.fromkeys(name for row in rows for name in row.tasks if name != row.task))
    header = (
        "method",
        "learning rate",
        "seeds",
        "reward, first → last",
        "peak gradient norm",
        "KL to base",
        f"{trained}, before → after [95%]",
        "gain [95%]",
        *(f"kept: {name}" for name in others),
        "trained parameters",
        "seconds",
    )
    body = [row_cells(row, others) for row in rows]
    if any(row.not_applicable for row in rows):
        header = (*header, "not applicable")
        body = [(*line, ", ".join(row.not_applicable) or NONE) for line, row in zip(body, rows, strict=True)]
    return Cells(header, tuple(body), names=1)


def row_cells(row: TableRow, others: Sequence[str]) -> tuple[str, ...]:
    """One row, in the order of `cells`."""
    trained = row.tasks.get(row.task)
    kept = [row.tasks[name] if name in row.tasks and name != row.task else None for name in others]
    return (
        row.series.label,
        rate(row.lr),
        ", ".join(map(str, row.seeds)) or "none finished",
        f"{figure(row.first_reward)} → {figure(row.last_reward)}" if row.seeds else NONE,
        figure(row.peak_grad_norm, ".3g"),
        figure(row.kl_base, ".3g"),
        f"{change(trained)} {interval(trained.after)}" if trained else NONE,
        f"{over_seeds(trained.gain, '+.3f')} {interval(trained.gain, '+.3f')}" if trained else NONE,
        *(change(one) if one else NONE for one in kept),
        f"{row.trainable_parameters:,}" if row.trainable_parameters is not None else NONE,
        figure(row.seconds, ".0f"),
    )


def narrow_cells(rows: Sequence[TableRow]) -> Cells:
    """What fits into 100 columns: two digits, a spread for the last reward only, other skills as their mean."""
    header = ("method", "rate", "reward", "grad peak", "KL to base", "accuracy", "gain [95%]", "kept")
    return Cells(header, tuple(narrow_row(row) for row in rows), names=1)


def narrow_row(row: TableRow) -> tuple[str, ...]:
    """One row, in the order of `narrow_cells`."""
    trained = row.tasks.get(row.task)
    kept = [figures for name, figures in row.tasks.items() if name != row.task]
    return (
        row.series.label,
        rate(row.lr),
        f"{mean(row.first_reward, '.2f')} → {figure(row.last_reward, '.2f')}" if row.seeds else "unfinished",
        mean(row.peak_grad_norm, ".2g"),
        mean(row.kl_base, ".2g"),
        f"{trained.before.mean:.2f} → {trained.after.mean:.2f}" if trained else NONE,
        f"{trained.gain.mean:+.2f} {interval(trained.gain, '+.2f')}" if trained else NONE,
        f"{fmean(one.before.mean for one in kept):.2f} → {fmean(one.after.mean for one in kept):.2f}" if kept else NONE,
    )


def mean(value: Figure, form: str) -> str:
    """The mean, or why there is none."""
    if value.mean is None:
        return NONE if value.finite else NOT_FINITE
    return f"{value.mean:{form}}"


def figure(value: Figure, form: str = ".3f") -> str:
    """Mean, or mean ± spread; the spread has no sign, and two digits where the mean's are significant ones."""
    if value.spread is None:
        return mean(value, form)
    return f"{mean(value, form)} ± {value.spread:{'.2g' if form.endswith('g') else form.lstrip('+')}}"


def over_seeds(value: Accuracy, form: str = ".3f") -> str:
    """Mean, or mean ± spread over seeds."""
    return figure(Figure(value.mean, value.spread), form)


def interval(value: Accuracy, form: str = ".3f") -> str:
    """[low, high]."""
    return f"[{value.low:{form}}, {value.high:{form}}]"


def change(task: TaskFigures) -> str:
    """Before → after; the base model knows no seeds, so it has no spread."""
    return f"{task.before.mean:.3f} → {over_seeds(task.after)}"
