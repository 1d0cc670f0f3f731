"""A work → its runs, the usual page, and reproduction.json with every pair of numbers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..artifacts import (
    FIGURES,
    GRID,
    MANIFEST,
    REPRODUCTION,
    check_room,
    read_json,
    require_begun,
    versions,
    writable,
    write_json,
)
from ..comparison import compare
from ..errors import UserError
from ..progress import States
from ..report import has_rows, read_runs, write_report
from ..run import train
from .measures import measured_pairs
from .numbers import own_scores, score_pairs
from .order import order_of
from .starts import start_pairs
from .work import ONE, Work

NOT_DRAWN = " is not drawn: "  # as the report says it
Say = Callable[[str], None]


def reproduce(
    work: Work,
    out: Path,
    *,
    resume: bool = False,
    force: bool = False,
    jobs: int | None = None,
    say: Say = lambda line: None,
    on_row: Callable[[dict[str, Any]], None] = lambda row: None,
    on_progress: Callable[[States], None] = lambda states: None,
    on_layer: Callable[[str, int, int], None] = lambda name, number, total: None,
) -> dict[str, Any]:
    """Do the work in `out` and return the record that reproduction.json holds.

    A grid becomes a comparison, a recipe a run, both with their page and figures; starts leave the record alone. A
    grid's runs that failed are named in it. Raises UserError where all did, for an `out` that is in use, and with
    `resume` for one that holds another reproduction.
    """
    if resume:
        require_same(work, out)
    if not work.trains:
        return of_starts(work, out, force=force or resume, on_layer=on_layer)
    failed: dict[str, UserError] = {}
    if work.grid is not None:
        failed = compare(work.grid, out, resume=resume, force=force, jobs=jobs, say=say, on_progress=on_progress)
        if failed and not has_rows(out):
            raise next(iter(failed.values()))
    else:
        train(work.runs[ONE], out, resume=resume, force=force, progress=say, on_row=on_row, shared=True)
    page = with_figures(work, out, say)
    runs = read_runs(out)
    order = order_of(work, runs)
    record = {
        **begun(work),
        "pairs": [pair.to_json() for pair in (*score_pairs(work, runs), *measured_pairs(work, runs))],
        "own": [pair.to_json() for pair in own_scores(runs)],
        "order": None if order is None else order.to_json(),
        "unfinished": [run.name for run in runs if not run.finished],
        "failed": {name: str(error) for name, error in failed.items()},
        "report": page.name,
        "versions": versions(),
    }
    write_json(out / REPRODUCTION, record)
    return record


def with_figures(work: Work, out: Path, say: Say) -> Path:
    """The page and every figure that these runs have data for; why one is not drawn is said of the one in question."""
    left: list[str] = []
    page = write_report(out, figures=True, say=lambda line: (left.append if NOT_DRAWN in line else say)(line))
    if work.entry.figure and not (out / FIGURES / f"{work.entry.figure}.png").is_file():
        for line in left:
            say(line)
    return page


def begun(work: Work) -> dict[str, Any]:
    """What tells a reproduction from another one."""
    return {"name": work.entry.name, "profile": work.profile, "changes": list(work.changes)}


def of_starts(work: Work, out: Path, *, force: bool, on_layer: Callable[[str, int, int], None]) -> dict[str, Any]:
    """The record of starts: made again on each call, for each takes a part of a run's time."""
    check_room(out, force=force, kind="reproduction")
    pairs = start_pairs(work, on_layer)
    record = {
        **begun(work),
        "pairs": [pair.to_json() for pair in pairs],
        "own": [],
        "order": None,
        "unfinished": [],
        "failed": {},
        "report": "",
        "versions": versions(),
    }
    writable(out).mkdir(parents=True, exist_ok=True)
    write_json(out / REPRODUCTION, record)
    return record


def require_same(work: Work, out: Path) -> None:
    """Raise unless `out` holds this reproduction, finished or not."""
    first = REPRODUCTION if not work.trains else GRID if work.grid is not None else MANIFEST
    require_begun(out, first, f"reproduction of {work.entry.name}")
    held = read_json(out / REPRODUCTION) if (out / REPRODUCTION).is_file() else begun(work)
    other = {key: value for key, value in begun(work).items() if held.get(key) != value}
    source = work.grid.source if work.grid is not None and work.trains else ""
    if other or (source and (out / GRID).read_text(encoding="utf-8") != source):
        raise UserError(
            f"{out} holds another reproduction than {work.entry.name} in the profile {work.profile}",
            f"it was begun as {held.get('name')}, {held.get('profile')}, {held.get('changes')}"
            if other
            else "it was begun with another grid, another profile or other changes",
            "give the same name, profile and changes, or another --out",
        )
