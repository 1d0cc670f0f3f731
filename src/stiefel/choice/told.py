"""What is told of a choice once its runs are done: the winner, how sure it is, what was not looked at."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..artifacts import RUNS
from ..errors import UserError
from .candidates import Candidate
from .merit import last_rewards, merit, rewards_of, spent_in
from .plan import Plan
from .verdict import chance_of_best, interval

BATCHES = 3  # of one seed's last rollouts: neighbours are alike, so that single ones would promise too much


def result(candidates: Mapping[str, Candidate], plan: Plan, out: Path, record: Mapping[str, Any]) -> dict[str, Any]:
    """The verdict, as `choice.json` holds it; raises UserError where every candidate is out."""
    lots = {name: Lot(each, out / RUNS) for name, each in candidates.items()}
    standing = {name: lots[name] for name in record["rungs"][-1]["went_on"] if name not in record["out"]}
    finalists = bool(standing)
    if not finalists:  # all of them broke: the best that was dropped before
        standing = {name: lots[name] for name in best_dropped(record)}
    winner = max(standing, key=lambda name: standing[name].merit)
    blocks = shared_blocks(list(standing.values()))
    known = len(next(iter(blocks.values()))) > 1
    chance = chance_of_best(blocks, winner) if known and len(blocks) > 1 else None
    low, high = interval(blocks, winner) if known else (None, None)
    spent = spent_in(out)
    return {
        "winner": candidates[winner].values,
        "name": winner,
        "merit": standing[winner].merit,
        "interval": [low, high],
        "probability": chance,
        "ended": finalists and plan.places[-1] >= max(each.rollouts for each in candidates.values()),
        "seeds": standing[winner].seeds,
        "spent": spent,
        "not_seen": not_seen(lots, record["total"] - spent),
        "candidates": [described(each, record) for each in lots.values()],
    }


class Lot:
    """What was seen of a candidate."""

    def __init__(self, candidate: Candidate, runs: Path) -> None:
        self.candidate = candidate
        rewards = {run: rewards_of(runs / run) for run in candidate.runs}
        self.rewards = {run: found for run, found in rewards.items() if found}
        self.rollouts = sum(len(found) for found in self.rewards.values())
        self.seeds = [candidate.seed_of(run) for run in self.rewards]
        self.merits = {candidate.seed_of(run): merit(self.last(run)) for run in self.rewards}
        self.merit = statistics.fmean(self.merits.values()) if self.merits else math.nan

    def last(self, run: str) -> list[float]:
        """The rewards that one of its runs is judged by."""
        return last_rewards(self.rewards[run], len(self.rewards[run]), self.candidate.rollouts)


def best_dropped(record: Mapping[str, Any]) -> list[str]:
    """The candidate that came furthest among those that are not out, and was the best there."""
    for rung in reversed(record["rungs"]):
        known = {name: merit for name, merit in rung["merits"].items() if name not in record["out"]}
        if known:
            return [max(known, key=lambda name: known[name])]
    raise UserError(
        "no candidate is left",
        "; ".join(dict.fromkeys(record["out"].values())),
        "smaller rates in the grid, or guard.action = 'restore' in its recipe",
    )


def shared_blocks(lots: Sequence[Lot]) -> dict[str, list[float]]:
    """Means of blocks that all share: of each seed that all have, or of one seed of pieces of its last rollouts."""
    seeds = [seed for seed in lots[0].merits if all(seed in lot.merits for lot in lots)]
    if len(seeds) > 1:
        return {lot.candidate.name: [lot.merits[seed] for seed in seeds] for lot in lots}
    last = {lot.candidate.name: [x for x in lot.last(lot.candidate.first) if not math.isnan(x)] for lot in lots}
    count = min(BATCHES, *(len(rewards) for rewards in last.values()))
    return {name: [float(np.mean(piece)) for piece in np.array_split(last[name], count)] for name in last}


def not_seen(lots: Mapping[str, Lot], rollouts: int) -> dict[str, Any]:
    """What of the grid was not looked at."""
    return {
        "rollouts": rollouts,
        "runs_never_begun": sum(len(lot.candidate.runs) - len(lot.rewards) for lot in lots.values()),
        "candidates_of_one_seed": sum(len(lot.seeds) <= 1 < len(lot.candidate.runs) for lot in lots.values()),
    }


def described(lot: Lot, record: Mapping[str, Any]) -> dict[str, Any]:
    """One candidate's entry."""
    name, rungs = lot.candidate.name, record["rungs"]
    rung = max((number for number, each in enumerate(rungs, start=1) if name in each["merits"]), default=None)
    finalist = name in rungs[-1]["went_on"] and name not in record["out"]
    return {
        "name": name,
        "values": lot.candidate.values,
        "rollouts": lot.rollouts,
        "merit": None if math.isnan(lot.merit) else lot.merit,
        "dropped_at": None if finalist else rung,
        "seeds": lot.seeds,
        "out": record["out"].get(name),
    }
