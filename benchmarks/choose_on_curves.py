"""How often a choice is as good as a grid's best cell: `python -m benchmarks.choose_on_curves`.

The plain runs of results/laboratory/nano.csv are taken for grids of three of the seeds that all of them have,
in every order of every three; what is chosen of each at 20% of its rollouts is judged on the seeds that it has not, as
benchmarks.choose judges a choice of runs. Nothing is trained: the rungs and who goes on are the product's, the rewards
are the curves'. Beside it stands what the grid's own best cell does by the same judgement, which is the luckiest of
many, and what the best of all seeds does; and how well other schedules do, of three rungs with more seeds earlier or
longer or shorter ways, that the same budget pays for. results/choose.json, `on_curves`.
"""

from __future__ import annotations

import argparse
import itertools
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from benchmarks.choose import BUDGET
from benchmarks.machine import keep, kept
from benchmarks.rows import NANO, Asked, mean_and_interval
from benchmarks.study.runs import runs_of
from stiefel.choice.candidates import Candidate, all_rollouts
from stiefel.choice.halving import going_on
from stiefel.choice.merit import last_rewards, merit
from stiefel.choice.plan import Plan, make_plan
from stiefel.choice.verdict import chance_of_best

SEEDS = 3  # of a grid
Order = tuple[int, ...]  # of a grid's seeds
Curves = dict[str, dict[int, list[float]]]  # candidate → seed → rewards


@dataclass(frozen=True)
class GridOfThree:
    """A grid's seeds, those that it has not, and its best cell with its interval."""

    seeds: tuple[int, ...]
    fresh: tuple[int, ...]
    best: str
    mean: float
    half: float


def curves() -> tuple[Curves, int]:
    """The rewards of the plain runs by the seeds that all have; what a run that diverged has not done counts as 0."""
    runs, found = runs_of("nano", ("nano",)), defaultdict[str, dict[int, list[float]]](dict)
    longest = max(row["rollouts"] for row in runs.plain)
    for row in runs.plain:
        rewards = [one or 0.0 for one in runs.curve(row)["reward"]]
        found[f"lr{row['lr']:g}-{row['method']}"][row["seed"]] = rewards + [0.0] * (longest - len(rewards))
    seeds = set.intersection(*map(set, found.values()))
    return {name: {seed: by_seed[seed] for seed in sorted(seeds)} for name, by_seed in found.items()}, longest


def candidates(names: Sequence[str]) -> list[Candidate]:
    """As of a grid of three seeds; which recipe it is does not matter to a plan, but for its length."""
    recipe = Asked("lora", 1e-3, 0).recipe(NANO)
    return [Candidate(name, {}, {f"{name}-{seed}": recipe for seed in range(SEEDS)}) for name in names]


def chosen(found: Curves, plan: Plan, longest: int, order: Sequence[int]) -> tuple[str, list[str], dict[str, float]]:
    """The winner, the finalists, and what each finalist's probability is said to be, for seeds in this order."""
    standing = list(found)
    for rung, place in enumerate(plan.places[:-1]):
        merits = {name: merit(last_rewards(found[name][order[0]], place, longest)) for name in standing}
        standing = going_on(merits, place, plan.factor(rung))
    ends = {
        name: [merit(last_rewards(found[name][seed], longest, longest)) for seed in order[: plan.seeds]]
        for name in standing
    }
    winner = max(standing, key=lambda name: fmean(ends[name]))
    said = {name: chance_of_best(ends, name) for name in standing} if plan.seeds > 1 and len(standing) > 1 else {}
    return winner, standing, said


Schedule = tuple[tuple[int, int, int], ...]  # rungs: after how many rollouts, of how many seeds, how many go on


def schedules(count: int, longest: int, allowed: float) -> Iterator[Schedule]:
    """Those of three rungs that cost no more than allowed rollouts."""
    firsts = [(place, seeds) for place in (6, 8, 10, 12, 14, 16, 18, 20, 22, 24) for seeds in (1, 2, 3)]
    seconds = [(place, seeds) for place in (20, 25, 30, 40) for seeds in (1, 2, 3)]
    for first, second, on, finalists, seeds in itertools.product(
        firsts, seconds, (5, 6, 7, 8, 10, 12), (2, 3, 4), (1, 2, 3)
    ):
        made = ((*first, on), (*second, finalists), (longest, seeds, 1))
        if first[0] < second[0] and finalists < on and cost_of(made, count) <= allowed:
            yield made


def cost_of(schedule: Schedule, count: int) -> int:
    """The rollouts of a schedule, which goes on with every run that it has begun."""
    done: dict[int, int] = {}
    total = 0
    for place, seeds, on in schedule:
        total += count * sum(max(0, place - done.get(seed, 0)) for seed in range(seeds))
        done |= dict.fromkeys(range(seeds), place)
        count = on
    return total


def by_schedule(found: Curves, schedule: Schedule, longest: int, order: Sequence[int]) -> str:
    """What a schedule chooses, by the same figure of merit."""
    standing = list(found)
    for place, seeds, on in schedule:
        merits = {
            name: fmean(merit(last_rewards(found[name][seed], place, longest)) for seed in order[:seeds])
            for name in standing
        }
        standing = sorted(standing, key=lambda name: -merits[name])[:on]
    return standing[0]


def grids_of(end: Mapping[str, Mapping[int, float]]) -> list[GridOfThree]:
    """Every grid of three seeds, by what each candidate reached with each."""
    seeds = sorted(next(iter(end.values())))
    grids = []
    for three in itertools.combinations(seeds, SEEDS):
        means = {name: mean_and_interval([by_seed[seed] for seed in three]) for name, by_seed in end.items()}
        best = max(means, key=lambda name: means[name][0])
        grids.append(GridOfThree(three, tuple(seed for seed in seeds if seed not in three), best, *means[best]))
    return grids


def judged(
    end: Mapping[str, Mapping[int, float]], grids: Sequence[GridOfThree], choice: Callable[[GridOfThree, Order], str]
) -> tuple[float, float, list[float]]:
    """How often a choice lies inside, how often inside or above, and what each loses to the best of all seeds."""
    truth = {name: fmean(by_seed.values()) for name, by_seed in end.items()}
    inside, no_worse, lost = [], [], []
    for grid in grids:
        for order in itertools.permutations(grid.seeds):
            name = choice(grid, order)
            new = fmean(end[name][seed] for seed in grid.fresh)
            inside.append(abs(new - grid.mean) <= grid.half)
            no_worse.append(new >= grid.mean - grid.half)
            lost.append(max(truth.values()) - truth[name])
    return fmean(inside), fmean(no_worse), lost


def on_curves() -> dict[str, float | int | list[int]]:
    """The product's choice, the grid's best cell, the best of all seeds, and every other schedule."""
    found, longest = curves()
    end = {
        name: {seed: merit(last_rewards(rewards, longest, longest)) for seed, rewards in by_seed.items()}
        for name, by_seed in found.items()
    }
    truth = {name: fmean(by_seed.values()) for name, by_seed in end.items()}
    made = candidates(list(found))
    plan, grids = make_plan(made, BUDGET), grids_of(end)
    right, sure = [], []

    def winner(grid: GridOfThree, order: Order) -> str:
        name, finalists, said = chosen(found, plan, longest, order)
        if said:
            sure.append(said[name])
            right.append(truth[name] == max(truth[one] for one in finalists))
        return name

    told = {
        "winner": judged(end, grids, winner),
        "best_cell": judged(end, grids, lambda grid, order: grid.best),
        "truth": judged(end, grids, lambda grid, order: max(truth, key=truth.__getitem__)),
    }
    lost, total = told["winner"][2], all_rollouts(made)
    others = [
        judged(end, grids, lambda grid, order, schedule=schedule: by_schedule(found, schedule, longest, order))
        for schedule in schedules(len(found), longest, BUDGET * total)
    ]
    return {
        "other_schedules": len(others),
        "inside_of_the_best_schedule": max(inside for inside, _, _ in others),
        "lost_by_the_best_schedule": min(fmean(each) for _, _, each in others),
        "candidates": len(found),
        "seeds": len(next(iter(found.values()))),
        "choices": len(lost),
        "distinct_grids": len(grids),
        "share": plan.cost(made) / total,
        "rungs": list(plan.places),
        "finalists_seeds": plan.seeds,
        "lost": fmean(lost),
        "lost_most": max(lost),
        **{f"inside_{who}": inside for who, (inside, _, _) in told.items()},
        **{f"no_worse_{who}": no_worse for who, (_, no_worse, _) in told.items()},
        "said": fmean(sure),
        "right": fmean(right),
    }


def main() -> None:
    """Reckon and keep."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    keep(
        "choose",
        {**{key: value for key, value in kept("choose").items() if key != "machine"}, "on_curves": on_curves()},
    )


if __name__ == "__main__":
    main()
