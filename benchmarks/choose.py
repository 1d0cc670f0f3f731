"""Is what `stiefel choose` finds at a fifth of a grid's rollouts as good as the grid's best cell?

    python -m benchmarks.choose --work DIR [--jobs N] [GRID.toml ...]

Of each grid: the choice at 20% of its rollouts; then all of the grid, gone on with from the choice's own halted runs;
then the winner and the grid's best candidate with seeds that the grid has not. A run counts with the mean reward of its
last quarter. The choice is right if the winner's mean over fresh seeds lies inside the 95% interval of the best
candidate over the grid's seeds (`inside`), or above it (`no_worse`). The best of many is the luckiest too, so its own
mean over fresh seeds stands beside it. What is in DIR already is not done again. Two hours on two cores for the two
grids; results/choose.json.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.machine import keep, kept
from benchmarks.rows import ROOT, mean_and_interval
from stiefel.artifacts import CHOICE, RUNS, read_json
from stiefel.choice import choose
from stiefel.choice.candidates import Candidate, candidates_of
from stiefel.choice.merit import last_rewards, merit, rewards_of, spent_in
from stiefel.comparison import compare
from stiefel.progress import grid_progress
from stiefel.quiet import quiet
from stiefel.recipe import Grid, Recipe, load_grid

GRIDS = [ROOT / "recipes" / "nano" / name for name in ("methods.toml", "ranks.toml")]
BUDGET = 0.2
FRESH = 5  # seeds that no grid has
FIRST = 100


def reward_of(recipe: Recipe, run: Path) -> float:
    """The mean reward of a run's last quarter; what a run that diverged has not done counts as 0."""
    rewards = rewards_of(run)
    rewards += [0.0] * (recipe.optim.rollouts - len(rewards))
    return merit(last_rewards(rewards, recipe.optim.rollouts, recipe.optim.rollouts))


def rewards_in(out: Path, runs: Mapping[str, Recipe]) -> list[float]:
    """Of each run."""
    return [reward_of(recipe, out / RUNS / name) for name, recipe in runs.items()]


def with_seeds(candidate: Candidate, count: int) -> dict[str, Recipe]:
    """The candidate's recipe with seeds of no grid."""
    recipe = candidate.runs[candidate.first]
    seeds = range(FIRST, FIRST + count)
    return {
        f"{candidate.name}-seed{seed}": recipe.model_copy(update={"run": recipe.run.model_copy(update={"seed": seed})})
        for seed in seeds
    }


def measured(path: Path, work: Path, jobs: int, fresh: int) -> dict[str, Any]:
    """One grid's figures."""
    grid = load_grid(path)
    chosen, whole = work / "chosen", work / "whole"
    told = choose(
        grid, chosen, BUDGET, resume=(chosen / CHOICE).is_file(), jobs=jobs, say=print, progress=grid_progress
    )
    assert told["spent"] == spent_in(chosen) <= told["budget"]
    if not whole.is_dir():
        shutil.copytree(chosen, whole)
    compare(grid, whole, resume=True, jobs=jobs)
    candidates = {each.name: each for each in candidates_of(grid)}
    means = {name: mean_and_interval(rewards_in(whole, each.runs)) for name, each in candidates.items()}
    best = max(means, key=lambda name: means[name][0])
    both = {name: with_seeds(candidates[name], fresh) for name in {told["name"], best}}
    runs = {run: recipe for each in both.values() for run, recipe in each.items()}
    compare(Grid("# seeds that the grid has not\n", runs, {}), work / "fresh", resume=True, jobs=jobs)
    new = {name: rewards_in(work / "fresh", each) for name, each in both.items()}
    mean, half = means[best]
    return {
        "grid": path.name,
        "cells": len(grid.runs),
        "candidates": len(candidates),
        "budget": told["budget"],
        "spent": told["spent"],
        "share": told["spent"] / told["total"],
        "rungs": told["plan"],
        "winner": told["winner"],
        "probability": told["probability"],
        "best": candidates[best].values,
        "best_mean": mean,
        "best_interval": [mean - half, mean + half],
        "winner_in_grid": means[told["name"]][0],
        "winner_fresh": new[told["name"]],
        "best_fresh": new[best],
        "place_of_winner": 1 + sum(other > means[told["name"]][0] for other, _ in means.values()),
        "inside": abs(statistics.fmean(new[told["name"]]) - mean) <= half,
        "no_worse": statistics.fmean(new[told["name"]]) >= mean - half,
        "means": {name: found[0] for name, found in means.items()},
        "choice": read_json(chosen / CHOICE)["rungs"],
    }


def main() -> None:
    """Measure each grid and keep the figures."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("grids", nargs="*", type=Path, default=GRIDS)
    asked.add_argument("--work", type=Path, required=True, help="where the runs lie; what is there goes on")
    asked.add_argument("--jobs", type=int, default=2)
    asked.add_argument("--fresh", type=int, default=FRESH, help="seeds that no grid has")
    given = asked.parse_args()
    quiet()
    for path in given.grids:
        found = measured(path, given.work / path.stem, given.jobs, given.fresh)
        results = {key: value for key, value in kept("choose").items() if key != "machine"}
        keep("choose", {**results, path.stem: found})


if __name__ == "__main__":
    main()
