"""The record of a reproduction as lines for a terminal: ours beside theirs, number by number."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..artifacts import FIGURES
from .catalogue import Entry


def as_lines(record: Mapping[str, Any], entry: Entry, out: Path) -> Iterator[str]:
    """A heading, the pairs as a table, what is ours alone, the order, and where a figure lies."""
    changes = shlex.join(word for change in record["changes"] for word in ("--set", change))
    yield f"{entry.name}: {entry.what} Profile {record['profile']}{f', changed by {changes}' if changes else ''}."
    pairs = [pair for pair in record["pairs"] if pair["published"] is not None]
    alone = [pair for pair in (*record["pairs"], *record["own"]) if pair["published"] is None]
    whole = [pair for pair in pairs if pair["ours"] is not None]
    if pairs:
        yield ""
        yield from table(
            ("of", "figure", "unit", "published", "ours", "difference"),
            [(pair["of"], named(pair), pair["unit"], number(pair["published"]), ours(pair), gap(pair))
             for pair in pairs],
        )  # fmt: skip
        if not whole:
            yield pairs[0]["why"][:1].upper() + pairs[0]["why"][1:] + "."
        elif changes:
            yield "No difference is told: with changed settings ours is not what was published."
    if alone:
        yield ""
        yield "Ours alone:"
        yield from table(
            ("of", "figure", "unit", "ours"),
            [(pair["of"], named(pair), pair["unit"], number(pair["ours"])) for pair in alone],
        )
    if order := record["order"]:
        yield ""
        yield f"Published order by {order['by']}: {in_order(order['published'])}"
        yield f"ours by {order['ours_by']}: {in_order(order['ours'])}"
        caution = ", over one seed, which decides nothing" if order["seeds"] == 1 else ""
        yield f"{order['alike']} of {order['pairs']} pairs are the same way round{caution}."
    if entry.shows:
        yield ""
        yield f"Published: {entry.shows}"
    if entry.figure:
        picture = out / FIGURES / f"{entry.figure}.png"
        yield f"Ours: {picture}" if picture.is_file() else "Ours: not drawn; the lines above say why"
    if record["unfinished"]:
        yield f"Not finished, and left out: {', '.join(record['unfinished'])}."


def in_order(scores: Mapping[str, float]) -> str:
    """`rlpo > gaussian = milora`: methods whose scores are equal are no order."""
    names = list(scores)
    signs = ["" if one == names[0] else " = " if scores[one] == scores[before] else " > "
             for before, one in zip([names[0], *names], names, strict=False)]  # fmt: skip
    return "".join(sign + name for sign, name in zip(signs, names, strict=True))


def named(pair: Mapping[str, Any]) -> str:
    """A figure with its metric."""
    return f"{pair['figure']} {pair['metric']}".strip() if pair["metric"] != "mean" else pair["figure"]


def number(value: Mapping[str, Any] | None) -> str:
    """Mean, or mean ± spread, with as many digits as papers print."""
    if value is None:
        return ""
    digits = 2 if abs(value["mean"]) >= 0.1 or value["mean"] == 0 else 4
    return f"{value['mean']:.{digits}f}" + ("" if value["spread"] is None else f" ± {value['spread']:.{digits}f}")


def ours(pair: Mapping[str, Any]) -> str:
    """Our number, or that there is none."""
    return number(pair["ours"]) if pair["ours"] is not None else "not measured here"


def gap(pair: Mapping[str, Any]) -> str:
    """The difference with its sign."""
    return "" if pair["difference"] is None else f"{pair['difference']:+.2f}"


def table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> Iterator[str]:
    """Columns as wide as what they hold."""
    widths = [max(len(row[column]) for row in (header, *rows)) for column in range(len(header))]
    for row in (header, *rows):
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
