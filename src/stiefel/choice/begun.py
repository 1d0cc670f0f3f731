"""What `choice.json` says before the first rung, and what of an earlier process's may go on or be replaced."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..artifacts import CHOICE, RUNS, read_json, require_begun
from ..errors import UserError
from ..recipe import Grid
from .candidates import Candidate, all_rollouts
from .merit import spent_in
from .plan import Plan, rollouts_of

FEW = 3  # candidates that a message names


def first_record(candidates: Sequence[Candidate], plan: Plan, budget: float) -> dict[str, Any]:
    """What `choice.json` says before the first rung."""
    total = all_rollouts(candidates)
    return {
        "status": "running",
        "share": budget,
        "budget": rollouts_of(budget, total),
        "total": total,
        "plan": {"rollouts": list(plan.places), "candidates": list(plan.counts), "seeds": plan.seeds},
        "rungs": [],
        "out": {},
    }


def begun(out: Path, first: dict[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """What an earlier process left in `choice.json`; raises UserError where it had another budget or another grid.

    `first` is what would be written of this grid before its first rung, `names` are its candidates.
    """
    require_begun(out, CHOICE, "choice")
    record: dict[str, Any] = read_json(out / CHOICE)
    if record["share"] != first["share"]:
        raise UserError(
            f"{out} was started with --budget {record['share']:g}, not {first['share']:g}",
            "the rungs follow from the budget, and some candidates are dropped already",
            f"--budget {record['share']:g}, or another --out",
        )
    known = list(record["rungs"][0]["merits"]) if record["rungs"] else list(names)  # all are compared in the first one
    others = [f"{name} is new" for name in names if name not in known]
    others += [f"{name} is gone" for name in known if name not in names]
    if others:
        raise grown(out, "; ".join([*others[:FEW], *([f"and {len(others) - FEW} more"] if len(others) > FEW else [])]))
    for key in ("total", "plan"):
        if record[key] != first[key]:
            raise grown(out, f"{key}: {record[key]!r} → {first[key]!r}")
    return record


def refuse_renamed(grid: Grid, found: Grid, out: Path) -> None:
    """Raise where the runs that were begun of a grid have other names than its cells have now."""
    for now, before in zip(grid.runs, found.runs, strict=True):
        if now != before:
            raise grown(out, f"its run {before} is {now} now")


def grown(out: Path, change: str) -> UserError:
    """The error of a choice that is to go on with another grid."""
    return UserError(
        f"{out} was begun with another grid: {change}",
        "a choice cannot grow: its rungs follow from its candidates, and who was dropped was compared with those alone",
        f"the grid that it was begun with, or another --out; stiefel compare GRID --out {out} --resume can grow",
    )


def refuse_completed(out: Path) -> None:
    """Raise where more of the grid has been run than by the choice that is to be replaced."""
    if not (out / CHOICE).is_file() or not (out / RUNS).is_dir():
        return
    record = read_json(out / CHOICE)
    spent, there = record["spent"] if record["status"] == "finished" else record["budget"], spent_in(out)
    if there > spent:
        raise UserError(
            f"{out} holds {there} rollouts, and the choice there took {spent} at most",
            "a comparison has gone on with its runs, and --force would remove what that has done",
            "another --out, or remove it yourself",
        )
