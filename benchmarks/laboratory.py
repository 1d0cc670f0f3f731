"""The study on nano and on SmolLM2, run by run: `python -m benchmarks.laboratory [--parts methods,…] [--jobs 2]`.

What results/laboratory lacks of it is run, a row a run: `methods` into nano.csv, every method at three rates around
the one at which a step costs 1e-3 nats a token; `more`, further seeds of the main methods at their best rates;
`ablations` into nano_ablations.csv; `caps`, smaller and larger ones, into nano_cap.csv; `real` into smollm2.csv.
Whatever benchmarks/step.py has run already is used. `falls` goes far above the rates, into nano_falls.csv, for what
is to be foreseen of a fall. `figures` reckons what docs/laboratory.md quotes (results/laboratory.json; `python -m
scripts.laboratory` writes the page). `--rerun METHOD LR SEED` repeats a row of nano.csv and says both rewards;
`reruns` repeats some that are drawn at random (results/reruns.json).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence

from benchmarks import step
from benchmarks.machine import keep
from benchmarks.rows import NANO, SMOLLM2, Asked, one, one_each, run_all, table
from benchmarks.study.figures import figures
from benchmarks.study.repeated import repeated
from benchmarks.study.runs import nano

SEEDS = 5
# Of 1 and 3 times powers of ten, by method: the middle one is the least that is above three quarters of the rate at
# which a first step costs 1e-3 nats a token (`stiefel preflight recipes/nano/dapo.toml --methods …`). VeRA's is the one
# below, since the one above is 0.1; AdaLoRA's first step moves its E alone, beside factors near 0, and says nothing of
# the steps that follow: its rates are tenths of what that would ask for.
# A fourth one stands where the largest of three was the best.
RATES: dict[str, tuple[float, ...]] = step.RATES | {
    "geora": (1e-4, 3e-4, 1e-3, 3e-3),
    "gaussian": (1e-4, 3e-4, 1e-3),
    "random_orthonormal": (1e-4, 3e-4, 1e-3, 3e-3),
    "dct": (1e-4, 3e-4, 1e-3, 3e-3),
    "wavelet": (1e-4, 3e-4, 1e-3, 3e-3),
    "olora": (3e-5, 1e-4, 3e-4),
    "olora_tail": (1e-4, 3e-4, 1e-3),
    "geora_random": (3e-4, 1e-3, 3e-3),
    "geora_tail": (3e-4, 1e-3, 3e-3),
    "geora_spectral": (1e-4, 3e-4, 1e-3, 3e-3),
    "geora_euclidean": (3e-4, 1e-3, 3e-3),
    "rslora": (1e-4, 3e-4, 1e-3),
    "dora": (3e-4, 1e-3, 3e-3),
    "lora_plus": (1e-5, 3e-5, 1e-4, 3e-4),
    "lora_fa": (3e-4, 1e-3, 3e-3),
    "adalora": (3e-3, 1e-2, 3e-2),
    "miss": (1e-4, 3e-4, 1e-3),
    "vera": (1e-2, 3e-2, 1e-1),
    "ia3": (3e-3, 1e-2, 3e-2),
    "ln_tuning": (3e-3, 1e-2, 3e-2),
    "sparse": (3e-5, 1e-4, 3e-4, 1e-3),
}
ABLATED = ("lora", "rlpo")
ABLATIONS = {  # what differs from recipes/nano/dapo.toml
    "rank": [f"adapter.rank={rank}; adapter.alpha={2 * rank}" for rank in (1, 2, 4, 16, 32)],
    "scaling": ["adapter.alpha=8", "adapter.alpha=32"],  # s = 1 and 4; 2 is the recipe's
    "algorithm": ["algorithm.name='grpo'", "algorithm.name='dr_grpo'"],
    "batch": ["rollout.prompts=4", "rollout.prompts=16"],
    "schedule": ["optim.schedule='cosine'"],
    "dropout": ["adapter.dropout=0.05"],
}
# A fourth one, here too, where the best of three was at an end.
REAL_RATES: dict[str, tuple[float, ...]] = {
    "lora": (1e-4, 2e-4, 4e-4, 8e-4),
    "rlpo": (2e-5, 4e-5, 8e-5, 1.6e-4),
    "rlmo": (1e-4, 2e-4, 4e-4, 5e-5),
    "pissa": (5e-6, 1e-5, 2e-5, 4e-5),
    "geora": (2e-5, 4e-5, 8e-5),
}
REAL_SEEDS = 3
REAL_FAR = 10  # times a method's middle rate: where the cap alone says how large a step is
FAR = (3, 10)  # times a method's largest rate
MORE_SEEDS = 10  # of the main methods at their best rates, where what is asked of them is small
CAPS = (3e-4, 3e-3)  # beside step.CAP
CAPPED = ("lora", "rlpo")
CAPPED_RATE = 3e-3  # the middle one of step.NOMINAL
PARTS = ("methods", "more", "ablations", "caps", "falls", "real", "reruns", "figures")
FALLING = ("lora", "gaussian", "rlpo", "rlmo", "olora", "pissa", "milora", "geora", "rslora", "dora", "lora_fa", "full")


def methods(seeds: int) -> Iterator[tuple[str, Asked]]:
    """Every method at its rates, a seed after the other."""
    for seed in range(seeds):
        for method, rates in RATES.items():
            yield from (("nano", Asked(method, lr, seed)) for lr in rates)


def more(seeds: int) -> Iterator[tuple[str, Asked]]:
    """The main methods at their best rates, further seeds, which had no part in choosing these."""
    found = nano()
    for seed in range(SEEDS, seeds):
        yield from (("nano", Asked(method, found.best_rate(method), seed)) for method in step.RATES)


def ablations(seeds: int) -> Iterator[tuple[str, Asked]]:
    """Two starts with one thing changed, each at its middle rate."""
    for seed in range(seeds):
        for method in ABLATED:
            for changes in (change for kind in ABLATIONS.values() for change in kind):
                yield "nano_ablations", Asked(method, RATES[method][1], seed, changes=changes)


def caps(seeds: int) -> Iterator[tuple[str, Asked]]:
    """Two starts under a smaller and a larger cap."""
    for seed in range(seeds):
        for method in CAPPED:
            yield from (("nano_cap", Asked(method, CAPPED_RATE, seed, cap)) for cap in CAPS)


def falls(seeds: int) -> Iterator[tuple[str, Asked]]:
    """Some methods at rates that are far too large for them."""
    for seed in range(seeds):
        for method in FALLING:
            yield from (("nano_falls", Asked(method, far(RATES[method][-1], times), seed)) for times in FAR)


def far(lr: float, times: int) -> float:
    """A rate so many times as large, of few digits."""
    return float(f"{lr * times:.3g}")


def real() -> Iterator[tuple[str, Asked]]:
    """On SmolLM2's warm base: a seed of every rate, then of three seeds the cap alone and each one's best rate."""
    for place in (1, 0, 2, 3):
        for method, rates in REAL_RATES.items():
            yield from (("smollm2", Asked(method, lr, 0)) for lr in rates[place : place + 1])
    best = {method: rate for method, rates in REAL_RATES.items() if (rate := best_of(method, rates)) is not None}
    for seed in range(REAL_SEEDS if len(best) == len(REAL_RATES) else 1):
        for method, rates in REAL_RATES.items():
            yield "smollm2", Asked(method, far(rates[1], REAL_FAR), seed, step.CAP)
        for method, lr in best.items():
            yield "smollm2", Asked(method, lr, seed)


def best_of(method: str, rates: Sequence[float]) -> float | None:
    """The best of a method's rates by seed 0; None until each is run."""
    rows = one_each(step.of("smollm2", method=method, seed=0, kl_cap=0.0, changes=""))
    found = [row for row in rows if row["lr"] in rates]
    return max(found, key=lambda row: row["reward"])["lr"] if len(found) == len(rates) else None


def rerun(method: str, lr: float, seed: int) -> dict[str, float]:
    """A kept row's reward, and that of the same run now."""
    kept = [row for row in table("nano") if (row["method"], row["lr"], row["seed"]) == (method, lr, seed)]
    if not kept:
        raise SystemExit(f"nano.csv has no row of {method} at {lr:g} with seed {seed}")
    row, _ = one(Asked(method, lr, seed), NANO)
    return {"committed": kept[0]["reward"], "rerun": row["reward"]}


def main() -> None:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parts", default="methods,ablations", help=f"some of {', '.join(PARTS)}")
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--rerun", nargs=3, metavar=("METHOD", "LR", "SEED"))
    arguments = parser.parse_args()
    if arguments.rerun:
        method, lr, seed = arguments.rerun
        print(json.dumps(rerun(method, float(lr), int(seed))))
        return
    parts = arguments.parts.split(",")
    if "methods" in parts:
        run_all(list(methods(arguments.seeds)), NANO, arguments.jobs)
    if "more" in parts:
        run_all(list(more(MORE_SEEDS)), NANO, arguments.jobs)
    if "ablations" in parts:
        run_all(list(ablations(arguments.seeds)), NANO, arguments.jobs)
    if "caps" in parts:
        run_all(list(caps(arguments.seeds)), NANO, arguments.jobs)
    if "falls" in parts:
        run_all(list(falls(2)), NANO, arguments.jobs)
    if "real" in parts:
        run_all(list(real()), SMOLLM2, arguments.jobs)
        run_all(list(real()), SMOLLM2, arguments.jobs)  # the best rates are known now
    if "reruns" in parts:
        keep("reruns", repeated(arguments.jobs))
    if "figures" in parts:
        keep("laboratory", figures())


if __name__ == "__main__":
    main()
