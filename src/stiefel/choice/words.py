"""A choice in words, on a terminal."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any


def print_choice(record: Mapping[str, Any]) -> None:
    """Print the candidates, the best first, and what was chosen, to stdout."""
    from rich.console import Console
    from rich.table import Table

    console = Console(width=None if sys.stdout.isatty() else 100, highlight=False, markup=False)
    grid = Table(box=None, pad_edge=False, collapse_padding=True)
    for name in ("candidate", "reward", "rollouts", "seeds", ""):
        grid.add_column(name, justify="right" if name in ("reward", "rollouts") else "left", overflow="fold")
    for each in sorted(record["candidates"], key=order):
        reward = "" if each["merit"] is None else f"{each['merit']:.3f}"
        seeds = ", ".join(str(seed) for seed in each["seeds"])
        grid.add_row(each["name"], reward, str(each["rollouts"]), seeds, fate(each, record))
    console.print(grid)
    for line in lines(record):
        console.print(line)


def order(candidate: Mapping[str, Any]) -> tuple[bool, float, float]:
    """Finalists first, then by how far they came, then by what they reached."""
    rung = candidate["dropped_at"]
    return rung is not None, -(rung or 0), -(candidate["merit"] or 0.0)


def fate(candidate: Mapping[str, Any], record: Mapping[str, Any]) -> str:
    """What became of a candidate."""
    if candidate["name"] == record["name"]:
        return "chosen"
    if candidate["out"]:
        return str(candidate["out"])
    rung = candidate["dropped_at"]
    return "finalist" if rung is None else f"dropped after {record['rungs'][rung - 1]['rollouts']} rollouts"


def lines(record: Mapping[str, Any]) -> list[str]:
    """The winner, how sure that is, what it took, and what was not looked at."""
    winner = ", ".join(f"{key} = {value!r}" for key, value in record["winner"].items())
    low, high = record["interval"]
    between = "" if low is None else f" [{low:.3f}, {high:.3f}]"
    unseen = record["not_seen"]
    said = [f"chosen: {winner}; reward {record['merit']:.3f}{between} over seeds {record['seeds']}"]
    if record["probability"] is not None:
        said.append(f"the best of the finalists with probability {record['probability']:.2f}{of_one_seed(record)}")
    if not record["ended"]:
        said.append("no finalist came to its end: what breaks or starts late was not seen")
    said.append(
        f"spent {record['spent']} of {record['budget']} rollouts ({record['spent'] / record['total']:.1%} of the "
        f"grid's {record['total']}); not looked at: {unseen['rollouts']} rollouts, {unseen['runs_never_begun']} runs "
        f"never begun, {unseen['candidates_of_one_seed']} candidates by one seed alone, and what else a model can do"
    )
    return said


def of_one_seed(record: Mapping[str, Any]) -> str:
    """What is to be said of a probability that no second seed stands behind."""
    return "" if len(record["seeds"]) > 1 else ", by one seed: how much seeds differ is not in it"
