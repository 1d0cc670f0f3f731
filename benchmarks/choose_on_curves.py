"""How often a choice is as good as a grid's best cell: `python -m benchmarks.choose_on_curves`.

The plain runs of results/laboratory/nano.csv whose methods have every seed there are taken for grids of three seeds,
in every order of every three; what is chosen of each at 20% of its rollouts is judged on the seeds that it has not, as
benchmarks.choose judges a choice of runs. Nothing is trained: the rungs and who goes on are the product's, the rewards
are the curves'. Beside it stands what the grid's own best cell does by the same judgement, which is the luckiest of
many, and what the best of all seeds does; and how well other schedules do, of three rungs with more seeds earlier or
longer or shorter ways, that the same budget pays for. results/choose.json, `on_curves`.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from statistics import fmean

from benchmarks.choose import BUDGET
from benchmarks.machine import keep, kept
from benchmarks.rows import NANO, TABLES, Asked, mean_and_interval
from stiefel.choice.candidates import Candidate
from stiefel.choice.halving import going_on
from stiefel.choice.merit import last_rewards, merit
from stiefel.choice.plan import Plan, make_plan
from stiefel.choice.verdict import chance_of_best

SEEDS = 3  # of a grid
Curves = dict[str, dict[int, list[float]]]  # candidate → seed → rewards


def curves() -> tuple[Curves, int]:
    """The rewards of the plain runs that have every seed; what a run that diverged has not done counts as 0."""
    found: Curves = defaultdict(dict)
    for line in (TABLES / "nano.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        found[f"lr{row['lr']:g}-{row['method']}"][row["seed"]] = [one or 0.0 for one in row["reward"]]
    longest = max(len(rewards) for by_seed in found.values() for rewards in by_seed.values())
    most = max(map(len, found.values()))
    whole = {name: by_seed for name, by_seed in found.items() if len(by_seed) == most}
    for by_seed in whole.values():
        for rewards in by_seed.values():
            rewards += [0.0] * (longest - len(rewards))
    return whole, longest


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


def judged() -> dict[str, float | int | list[int]]:
    """Over every grid of three seeds."""
    found, longest = curves()
    end = {
        name: {seed: merit(last_rewards(rewards, longest, longest)) for seed, rewards in by_seed.items()}
        for name, by_seed in found.items()
    }
    truth = {name: fmean(by_seed.values()) for name, by_seed in end.items()}
    plan = make_plan(candidates(list(found)), BUDGET)
    seeds = sorted(next(iter(found.values())))
    lost, right, sure = [], [], []
    inside: dict[str, list[bool]] = defaultdict(list)
    no_worse: dict[str, list[bool]] = defaultdict(list)
    for three in itertools.combinations(seeds, SEEDS):
        fresh = [seed for seed in seeds if seed not in three]
        means = {name: mean_and_interval([by_seed[seed] for seed in three]) for name, by_seed in end.items()}
        best = max(means, key=lambda name: means[name][0])
        mean, half = means[best]
        for order in itertools.permutations(three):
            winner, finalists, said = chosen(found, plan, longest, order)
            for who, name in (("winner", winner), ("best_cell", best), ("truth", max(truth, key=truth.__getitem__))):
                new = fmean(end[name][seed] for seed in fresh)
                inside[who].append(abs(new - mean) <= half)
                no_worse[who].append(new >= mean - half)
            lost.append(max(truth.values()) - truth[winner])
            if said:
                sure.append(said[winner])
                right.append(truth[winner] == max(truth[name] for name in finalists))
    total = len(found) * SEEDS * longest
    shares, losses = [], []
    for schedule in schedules(len(found), longest, BUDGET * total):
        hits, missed = [], []
        for three in itertools.combinations(seeds, SEEDS):
            fresh = [seed for seed in seeds if seed not in three]
            best = max(end, key=lambda name: fmean(end[name][seed] for seed in three))
            mean, half = mean_and_interval([end[best][seed] for seed in three])
            for order in itertools.permutations(three):
                name = by_schedule(found, schedule, longest, order)
                hits.append(abs(fmean(end[name][seed] for seed in fresh) - mean) <= half)
                missed.append(max(truth.values()) - truth[name])
        shares.append(fmean(hits))
        losses.append(fmean(missed))
    return {
        "other_schedules": len(shares),
        "inside_of_the_best_schedule": max(shares),
        "lost_by_the_best_schedule": min(losses),
        "candidates": len(found),
        "seeds": len(seeds),
        "choices": len(lost),
        "distinct_grids": math.comb(len(seeds), SEEDS),
        "share": plan.cost(candidates(list(found))) / total,
        "rungs": list(plan.places),
        "finalists_seeds": plan.seeds,
        "lost": fmean(lost),
        "lost_most": max(lost),
        **{f"inside_{who}": fmean(each) for who, each in inside.items()},
        **{f"no_worse_{who}": fmean(each) for who, each in no_worse.items()},
        "said": fmean(sure) if sure else math.nan,
        "right": fmean(right) if right else math.nan,
    }


def main() -> None:
    """Reckon and keep."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    keep("choose", {**{key: value for key, value in kept("choose").items() if key != "machine"}, "on_curves": judged()})


if __name__ == "__main__":
    main()
