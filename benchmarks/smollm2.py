"""What DAPO teaches the warm base of SmolLM2: `python -m benchmarks.smollm2 [--seeds 2] [--jobs 2]`.

Needs `make smollm2-warm`. recipes/smollm2/dapo.toml with each method at its rate, scored on questions that no training
asks, sampled, before and after. Two runs of one thread each go on at a time; `--jobs 1 --threads 2` gives one of them
both cores, which is what a run takes by itself.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from benchmarks.machine import keep, kept
from scripts.smollm2_warm import WARM, WEIGHTS
from stiefel.artifacts import file_digest
from stiefel.quiet import quiet
from stiefel.recipe.recipe import load_recipe
from stiefel.run import train

RECIPE = Path(__file__).parents[1] / "recipes" / "smollm2" / "dapo.toml"
RATES = {"lora": 2e-4, "rlpo": 4e-5}


def one(method: str, seed: int, threads: int, place: str) -> dict[str, Any]:
    """One run's scores by task, [before, after], and how it went."""
    quiet()
    out = Path(place) / f"{method}-{seed}"
    changes = [f"adapter.method='{method}'", f"optim.lr={RATES[method]}", f"run.seed={seed}"]
    changes.append(f"run.threads={threads}")
    recipe = load_recipe(RECIPE, changes)
    recipe = recipe.model_copy(update={"model": recipe.model.model_copy(update={"path": str(WARM)})})
    train(recipe, out, resume=True)
    rows = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    scores = json.loads((out / "eval.json").read_text())
    tasks = {task: [found["before"]["mean"], found["after"]["mean"]] for task, found in scores.items()}
    return {
        "tasks": tasks,
        "before": statistics.fmean(before for before, _ in tasks.values()),
        "after": statistics.fmean(after for _, after in tasks.values()),
        "kl_base": rows[-1]["kl_base"],
        "truncated": rows[-1]["truncated_fraction"],
        "seconds": sum(row["seconds"] for row in rows),
        "threads": threads,
    }


def main() -> None:
    """Run all that is asked for, and keep it beside what was kept of other methods."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--methods", default=",".join(RATES))
    parser.add_argument("--runs", type=Path, default=None, help="where the run directories go, and stay")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        where = str(arguments.runs or place)
        asked = [(method, seed) for method in arguments.methods.split(",") for seed in range(arguments.seeds)]
        with ProcessPoolExecutor(arguments.jobs, get_context("spawn")) as pool:
            done = list(pool.map(one, *zip(*[(*pair, arguments.threads, where) for pair in asked], strict=True)))
    results = {**kept("smollm2"), "warm_base": file_digest(WARM / WEIGHTS)}
    for method in dict.fromkeys(method for method, _ in asked):
        mine = [found for (name, _), found in zip(asked, done, strict=True) if name == method]
        gains = [found["after"] - found["before"] for found in mine]
        results[method] = {
            "rate": RATES[method],
            "runs": mine,
            "gain": statistics.fmean(gains),
            "spread": max(gains) - min(gains),
        }
    keep("smollm2", results)


if __name__ == "__main__":
    main()
