"""One cap for every method against each method's own best rate: `python -m benchmarks.step [--seeds 5] [--jobs 2]`.

Runs what results/laboratory lacks of it (nano.csv without a cap, nano_cap.csv with one), then reckons: by method the
reward of its best rate without a cap, and what the cap gives at three nominal rates that are too large for most; what
an update cost at most; which skills were lost, without and with `optim.kl_cap_rows`; how the starts rank at the same
cap. `--parts cost` measures what the cap adds to a rollout, on a machine that does nothing else; `--parts real` runs
two methods far above their rates on the warm base of SmolLM2, which `make smollm2-warm` makes.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.machine import keep, kept
from benchmarks.pairs import ratio
from benchmarks.rows import LAST, NANO, ROOT, SMOLLM2, Asked, asked_of, mean_and_interval, one_each, run_all, table
from benchmarks.train import UPDATES
from benchmarks.train import trainer_of as lora_trainer
from stiefel.model.weights import load_tokenizer
from stiefel.training.cap_rows import cap_rows

CAP = 1e-3
NOMINAL = (1e-3, 3e-3, 1e-2)
# around what each does best at without a cap
RATES = {
    "lora": (3e-4, 1e-3, 3e-3),
    "rlpo": (1e-4, 3e-4, 1e-3),
    "rlmo": (3e-4, 1e-3, 3e-3),
    "pissa": (1e-4, 3e-4, 1e-3),
    "milora": (3e-4, 1e-3, 3e-3),
    "geora": (1e-4, 3e-4, 1e-3),
    "full": (3e-5, 1e-4, 3e-4),
}
SKILLS = "recipes/nano/skills.jsonl"
# on the warm base of SmolLM2 ten times the rates at which these two do best, LoRA's 2e-4 and PiSSA's 1e-5
REAL = [
    ("smollm2", Asked(method, lr, 0, cap)) for cap in (CAP, 0.0) for method, lr in (("pissa", 1e-4), ("lora", 2e-3))
]
PLAIN, CAPPED = "nano", "nano_cap"
PARTS = ("runs", "real", "figures", "cost")


def wanted(seeds: int) -> Iterator[tuple[str, Asked]]:
    """Every run, a seed after the other, so that what is there at any time is of whole seeds."""
    for seed in range(seeds):
        for method, rates in RATES.items():
            yield from ((PLAIN, Asked(method, lr, seed)) for lr in rates)
            yield from ((CAPPED, Asked(method, lr, seed, CAP)) for lr in NOMINAL)
        for lr in reversed(NOMINAL):
            yield from ((CAPPED, Asked(method, lr, seed, CAP, SKILLS)) for method in RATES)


def main() -> None:
    """Run, reckon, keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--parts", default="runs,figures", help=f"some of {', '.join(PARTS)}")
    arguments = parser.parse_args()
    parts = arguments.parts.split(",")
    if "runs" in parts:
        run_all(list(wanted(arguments.seeds)), NANO, arguments.jobs)
    if "real" in parts:
        run_all(REAL, SMOLLM2, arguments.jobs)
    results = kept("step")
    if "figures" in parts:
        results |= figures()
    if "cost" in parts:
        results["cost"] = cost()
    keep("step", results)


def of(name: str, **fixed: Any) -> list[dict[str, Any]]:
    """The rows of a table with these values."""
    return [row for row in table(name) if all(row[key] == value for key, value in fixed.items())]


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The reward of some runs that differ in their seeds, and the most that one of them lost of a skill."""
    mean, half = mean_and_interval([row["reward"] for row in rows])
    kept = [(row[f"{skill}_before"], row[skill]) for row in rows for skill in ("reverse", "sort")]
    lost = [before - (after or 0.0) for before, after in kept if before is not None]  # a run that diverged has no score
    found = {
        "reward": mean,
        "half": half if len(rows) > 1 else None,
        "seeds": len(rows),
        "lost": max(lost, default=None),
    }
    if rows[0]["kl_cap"]:
        found["dearest"] = max(row["kl_update"] for row in rows)
        found["passes_an_update"] = statistics.fmean(row["passes_an_update"] for row in rows)
    return found


def figures() -> dict[str, Any]:
    """What the tables say."""
    found: dict[str, Any] = {"cap": CAP, "nominal": list(NOMINAL), "last": LAST, "methods": {}}
    used: list[dict[str, Any]] = []
    for method, rates in RATES.items():
        plain = {lr: of(PLAIN, method=method, lr=lr, changes="") for lr in rates}
        held = {lr: of(CAPPED, method=method, lr=lr, kl_cap=CAP, kl_cap_rows="") for lr in NOMINAL}
        rows = {lr: of(CAPPED, method=method, lr=lr, kl_cap=CAP, kl_cap_rows=SKILLS) for lr in NOMINAL}
        parts = {"plain": plain, "capped": held, "capped_rows": rows}
        mine: dict[str, Any] = {
            name: {str(lr): summary(runs) for lr, runs in part.items() if runs} for name, part in parts.items()
        }
        used += [row for part in parts.values() for runs in part.values() for row in runs]
        if mine["plain"] and mine["capped"]:
            best = max(mine["plain"], key=lambda lr: mine["plain"][lr]["reward"])
            least = min(one["reward"] for one in mine["capped"].values())
            mine |= {"best_rate": float(best), "share_of_best": least / mine["plain"][best]["reward"]}
        found["methods"][method] = mine
    capped = [row for row in used if row["kl_cap"]]
    found["codes"] = sorted({row["code"] for row in used})
    found["dearest_in_shares"] = max(row["kl_update"] for row in capped) * UPDATES / CAP
    found["dearest_on_rows_in_shares"] = max((row["kl_rows"] or 0.0 for row in capped), default=0.0) * UPDATES / CAP
    found["ranking"] = ranking()
    found["real"] = one_each([row for row in table("smollm2") if asked_of(row) in {asked for _, asked in REAL}])
    return found


def ranking() -> list[dict[str, Any]]:
    """The methods at the same cap, by what they reach over all nominal rates; a seed's rates are one value."""
    by_seed: dict[str, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    for row in of(CAPPED, kl_cap=CAP, kl_cap_rows=""):
        by_seed[row["method"]][row["seed"]].append(row["reward"])
    found: list[dict[str, Any]] = []
    for method, seeds in by_seed.items():
        mean, half = mean_and_interval([statistics.fmean(rewards) for rewards in seeds.values()])
        found.append({"method": method, "reward": mean, "half": half if len(seeds) > 1 else None, "seeds": len(seeds)})
    return sorted(found, key=lambda one: -one["reward"])


HELD = {"free": 0.0, "capped": 1e6, "rows": 1e6, "shortened": 1e-7}  # caps: none, one that never holds, one that does
PAIRS, PROCESSES = 30, 10


def trainer_of(kind: str, rollouts: int, out: Path, *also: Any) -> Any:
    """A LoRA under one of these caps, for `pairs.race`; "rows" holds the skills' 64 rows too."""
    rows = cap_rows(ROOT / SKILLS, load_tokenizer("nano"), 0) if kind == "rows" else []
    return lora_trainer("lora", rollouts, out, *also, kl_cap=HELD[kind], kl_cap_rows=rows)


def cost() -> dict[str, Any]:
    """A rollout's time with a cap over one's without: where it never holds, with rows, and where it shortens."""
    found: dict[str, Any] = {
        kind: ratio("benchmarks.step", "free", kind, PAIRS, PROCESSES) for kind in HELD if kind != "free"
    }
    with tempfile.TemporaryDirectory() as place:
        trainer = trainer_of("shortened", PAIRS, Path(place))
        trainer.train()
    passes = [row["cap_passes"] for row in trainer.state.log_history if "cap_passes" in row]
    assert statistics.fmean(passes) > 1.5, "an update that was not shortened says nothing of what shortening costs"
    found["shortened"]["passes_an_update"] = statistics.fmean(passes)
    return found


if __name__ == "__main__":
    main()
