"""The study's rows, by method, rate and seed, as the questions need them."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Callable, Iterable
from functools import cache
from statistics import fmean, median
from typing import Any

from benchmarks.rows import TABLES, asked_of, base_of_row, one_each, table

CAP = 1e-3  # the one that all methods were run under
Row = dict[str, Any]
BySeed = dict[int, float]  # a value a seed, so that two methods can be paired
OTHERS = {  # skills that are not trained, whose loss is forgetting
    "nano": ("reverse", "sort"),
    "smollm2": ("products", "chain_sum", "basic_arithmetic", "count_bits", "spell_backward"),
}
TRAINED = {"nano": ("arithmetic",), "smollm2": ("gcd", "letter_counting", "lcm")}


class Runs:
    """One model's runs: plain ones, capped ones, and ones with one thing changed."""

    def __init__(self, model: str, rows: Iterable[Row], curves: Iterable[Row]) -> None:
        self.model = model
        self.rows = list(rows)
        self.curves = {(asked_of(one), base_of_row(one)): one for one in curves}
        self.plain = [row for row in self.rows if not row["kl_cap"] and not row["changes"]]

    @property
    def methods(self) -> list[str]:
        """Those with a plain run, in the order of the tables."""
        return list(dict.fromkeys(row["method"] for row in self.plain))

    def rates(self, method: str) -> list[float]:
        """The rates of a method's plain runs."""
        return sorted({row["lr"] for row in self.plain if row["method"] == method})

    def of(self, method: str, lr: float, value: Callable[[Row], float | None] | None = None) -> BySeed:
        """A value of each seed's plain run at a rate; the reward where none is named."""
        take = value or reward
        found = {row["seed"]: take(row) for row in self.plain if (row["method"], row["lr"]) == (method, lr)}
        return {seed: one for seed, one in found.items() if one is not None}

    def best_rate(self, method: str, without: int | None = None) -> float:
        """The rate whose mean reward is the highest over the seeds that all rates have; one seed may be left out."""
        found = {lr: self.of(method, lr) for lr in self.rates(method)}
        shared = set.intersection(*map(set, found.values()))
        chosen_by = shared - {without} or shared
        assert chosen_by, f"no seed was run at every rate of {method}"
        return max(found, key=lambda lr: fmean(found[lr][seed] for seed in chosen_by))

    def at_best(self, method: str, value: Callable[[Row], float | None] | None = None) -> BySeed:
        """Each seed's value at the rate that is best over the *other* seeds, so that no seed chose its own rate."""
        found: BySeed = {}
        if method not in self.methods:
            return found
        for seed in sorted({row["seed"] for row in self.plain if row["method"] == method}):
            by_seed = self.of(method, self.best_rate(method, seed), value)
            if seed in by_seed:
                found[seed] = by_seed[seed]
        return found

    def bounded(self, method: str) -> bool:
        """Whether the best rate of a method lies between others of it; so it is where there is no run of it."""
        if method not in self.methods:
            return True
        rates = self.rates(method)
        return self.best_rate(method) not in (rates[0], rates[-1])

    def over_rates(self, method: str, rates: Iterable[float]) -> BySeed:
        """The largest less the smallest reward of each seed over these rates; nothing where there are not two."""
        by_rate = [self.of(method, lr) for lr in rates]
        seeds = set.intersection(*(set(one) for one in by_rate)) if len(by_rate) > 1 else set()
        return {seed: max(one[seed] for one in by_rate) - min(one[seed] for one in by_rate) for seed in sorted(seeds)}

    def changed(self, method: str, lr: float, changes: str) -> BySeed:
        """The reward of each seed at a rate with one thing changed, or with nothing changed."""
        asked = (method, lr, 0.0, changes)
        rows = [row for row in self.rows if (row["method"], row["lr"], row["kl_cap"], row["changes"]) == asked]
        return {row["seed"]: row["reward"] for row in rows}

    def under(self, method: str, cap: float, rate: float | None = None) -> list[Row]:
        """The runs of a method under a cap without rows, at all rates or at one."""
        rows = [row for row in self.rows if (row["method"], row["kl_cap"], row["kl_cap_rows"]) == (method, cap, "")]
        return [row for row in rows if rate in (None, row["lr"])]

    def capped(self, method: str, cap: float = CAP, rate: float | None = None) -> BySeed:
        """The mean reward of each seed over the nominal rates (or at one) under a cap without rows."""
        found: dict[int, list[float]] = defaultdict(list)
        for row in self.under(method, cap, rate):
            found[row["seed"]].append(row["reward"])
        most = max(map(len, found.values()), default=0)
        return {seed: fmean(rewards) for seed, rewards in found.items() if len(rewards) == most}

    def forgotten(self, row: Row) -> float | None:
        """How much a run lost of the skills that it did not train, their mean; what diverged has no score."""
        return self._change(row, OTHERS[self.model], -1.0)

    def lost_most(self, row: Row) -> float | None:
        """The most that a run lost of one of these skills; what diverged has no score."""
        scores = [(row[f"{skill}_before"], row[skill]) for skill in OTHERS[self.model]]
        if any(before is None or after is None for before, after in scores):
            return None
        return max(float(before - after) for before, after in scores)

    def gained(self, row: Row) -> float | None:
        """How much it gained on what it trained, held out."""
        return self._change(row, TRAINED[self.model], 1.0)

    def _change(self, row: Row, skills: tuple[str, ...], sign: float) -> float | None:
        scores = [(row[f"{skill}_before"], row[skill]) for skill in skills]
        if any(before is None or after is None for before, after in scores):
            return None
        return sign * fmean(after - before for before, after in scores)

    def curve(self, row: Row) -> Row:
        """What a run logged, rollout by rollout."""
        return self.curves[asked_of(row), base_of_row(row)]

    def log_median(self, name: str) -> Callable[[Row], float | None]:
        """Natural logarithm of the median over the rollouts of what a run logged; None where all of it is 0."""

        def value(row: Row) -> float | None:
            logged = [one for one in self.curve(row).get(name, []) if one]
            return math.log(median(logged)) if logged else None

        return value


def reward(row: Row) -> float:
    """The mean reward of a run's last rollouts."""
    return float(row["reward"])


def log_kl_base(row: Row) -> float | None:
    """Natural logarithm of a run's last KL to the base."""
    return math.log(row["kl_base"]) if row["kl_base"] else None


@cache
def runs_of(model: str, names: tuple[str, ...]) -> Runs:
    """A model's runs out of these tables."""
    rows = [row for name in names for row in table(name)]
    paths = [TABLES / f"{name}.jsonl" for name in names]
    lines = [line for path in paths if path.is_file() for line in path.read_text(encoding="utf-8").splitlines()]
    return Runs(model, rows, map(json.loads, lines))


def nano() -> Runs:
    """The embedded model's."""
    return runs_of("nano", ("nano", "nano_ablations", "nano_cap"))


def smollm2() -> Runs:
    """SmolLM2's; of a run that was made from two warm bases the row of the one that has the most rows of its seed."""
    found = runs_of("smollm2", ("smollm2",))
    by_seed = [
        [row for row in found.rows if row["seed"] == seed] for seed in sorted({row["seed"] for row in found.rows})
    ]
    return Runs("smollm2", [row for rows in by_seed for row in one_each(rows)], found.curves.values())
