"""What looking costs: the live callback on nano, and `inspect` beside `init` on Qwen2.5-1.5B's shapes.

`python -m benchmarks.geometry [--layers 28] [--looks 150] [--parts live,inspect]`: 3 GB of disk, half an hour idle.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from safetensors.torch import load_file, save_file
from scipy import stats
from transformers import TrainerCallback
from transformers.trainer_callback import PrinterCallback, ProgressCallback

import stiefel
from benchmarks.init import command, torch_megabytes
from benchmarks.machine import keep, kept
from benchmarks.synthetic import shapes, write_checkpoint
from stiefel.adapter.streamed import prepare
from stiefel.artifacts import read_jsonl
from stiefel.geometry.live import GeometryCallback
from stiefel.model.weights import load_model, load_tokenizer
from stiefel.quiet import quiet
from stiefel.recipe.recipe import make_recipe
from stiefel.tasks import find_task
from stiefel.training.rewards import GradedReward
from stiefel.training.settings import grpo_config, rate_factor

EVERY, THIRD, RANK, TOKENS = 10, 3, 16, 24
PARTS = ("live", "inspect")
WATCHED = (
    "import json, sys, torch\n"
    "from benchmarks.geometry import watched_run\n"
    "from stiefel.quiet import quiet\n"
    "quiet(); torch.set_num_threads(1)\n"
    "print(json.dumps(watched_run(int(sys.argv[1]))))"
)
PROGRAM = (
    "import sys, time; began = time.perf_counter()\n"
    "from stiefel.geometry import inspect\n"
    "inspect(sys.argv[1], sys.argv[2], also=tuple(sys.argv[3:]))\n"
    "from stiefel.memory import peak_resident_bytes\n"
    "print(time.perf_counter() - began, peak_resident_bytes())"
)


class Clock(TrainerCallback):  # type: ignore[misc]
    """Seconds of processor time of each rollout of one update."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self._began = 0.0

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """The first begins."""
        self._began = time.thread_time()

    def on_log(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """After a rollout's update, what was measured of it included; the end of training logs once more."""
        if len(self.seconds) < state.global_step:
            now = time.thread_time()
            self.seconds.append(now - self._began)
            self._began = now


def watched_run(looks: int) -> dict[str, list[float]]:
    """The seconds of each rollout of an RLPO run on nano that is looked at every third, and of each look.

    All completions have the same length. The first five rollouts and the last ones are not counted.
    """
    rollouts = THIRD * (looks + 2)
    recipe = make_recipe(
        {
            "optim": {"rollouts": rollouts, "updates_per_rollout": 1},
            "rollout": {"max_completion_tokens": TOKENS},
            "run": {"threads": 1, "save_every": 0},
        }
    )
    model = stiefel.attach(load_model("nano"), "rlpo", r=8, alpha=16)
    task, clock = find_task(recipe.task.name), Clock()
    rows = task.rows("train", rollouts * recipe.rollout.prompts, 0)
    with tempfile.TemporaryDirectory() as out:
        config = grpo_config(recipe, Path(out))
        config.generation_kwargs = {"min_new_tokens": TOKENS}
        journal = Path(out) / "geometry.jsonl"
        trainer = stiefel.GRPOTrainer(
            model,
            GradedReward(task.grader),
            config,
            Dataset.from_list([{"prompt": row.prompt, "answer": row.answer} for row in rows]),
            processing_class=load_tokenizer("nano"),
            callbacks=[GeometryCallback(journal, model, THIRD), clock],
            rate_factor=rate_factor(recipe.optim),
        )
        for callback in (PrinterCallback, ProgressCallback):
            trainer.remove_callback(callback)
        trainer.train()
        taken = [row["seconds"] for row in read_jsonl(journal)]
    first = 2 * THIRD - 1  # the rollout of the third look: there is one at the first rollout too
    return {"rollouts": clock.seconds[first : first + THIRD * looks], "looks": taken[2 : 2 + looks]}


def live(looks: int) -> dict[str, Any]:
    """What a look adds to its own rollout and to the next one, over the rollout between that one and the next look, as
    a share of ten rollouts; with a 95% t-interval over looks. And what a look takes by its own clock.

    All are of one run: of two runs in turns, one is some percent faster for no reason but where its memory lies.
    """
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        runs = list(pool.map(lambda _: in_a_process(looks), range(os.cpu_count() or 1)))
    watched, after, without = np.concatenate([np.array(run["rollouts"]).reshape(-1, THIRD) for run in runs]).T
    step = float(without.mean())
    shares = (watched + after - 2 * without) / (EVERY * step)
    half = shares.std(ddof=1) / len(shares) ** 0.5 * stats.t.ppf(0.975, len(shares) - 1)
    look = statistics.median(seconds for run in runs for seconds in run["looks"])
    return {
        "looks": len(shares),
        "step_seconds": step,
        "measurement_seconds": look,
        "share_by_its_own_clock": look / (EVERY * step),
        "share_at_every_10th_step": float(shares.mean()),
        "share_95": [float(shares.mean() - half), float(shares.mean() + half)],
    }


def in_a_process(looks: int) -> dict[str, list[float]]:
    """`watched_run` in a process of its own, on one thread."""
    done = subprocess.run([sys.executable, "-c", WATCHED, str(looks)], capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def trained_adapter(checkpoint: Path, out: Path) -> Path:
    """An RLPO start of the checkpoint with a random B, as PEFT would save it."""
    prepare(str(checkpoint), "rlpo", out, r=RANK, alpha=2 * RANK, cache=False)
    (out / "stiefel.json").unlink()  # its digests hold no longer
    tensors = load_file(out / "adapter_model.safetensors")
    for name, tensor in tensors.items():
        if "lora_B" in name:
            tensor.normal_(std=1e-3, generator=torch.Generator().manual_seed(len(name)))
    save_file(tensors, out / "adapter_model.safetensors", {"format": "pt"})
    return out


def inspected(adapter: Path, checkpoint: Path, cache: Path, *also: str) -> tuple[float, float]:
    """(seconds, peak resident MB) of `inspect` in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(adapter), str(checkpoint), *also],
        capture_output=True,
        text=True,
        env={**os.environ, "STIEFEL_CACHE": str(cache)},
        check=True,
    )
    elapsed, peak = done.stdout.split("\n")[-2].split()
    return float(elapsed), float(peak) / 2**20


def after_the_fact(work: Path, layers: int) -> dict[str, Any]:
    """`init` for RLPO and `inspect`, each with an empty cache and with a full one; net of the same on a tiny model."""
    tiny, checkpoint = work / "tiny", work / "checkpoint"
    write_checkpoint(tiny, "1.5B", 1, width=1 / 12)
    write_checkpoint(checkpoint, "1.5B", layers)
    adapter, small = trained_adapter(checkpoint, work / "adapter"), trained_adapter(tiny, work / "small")
    largest = max(m * n for m, n in shapes("1.5B").values()) * 4 / 2**20
    init, inspection = {}, {}
    command(tiny, "rlpo", RANK, work / "spectra-of-nothing")  # the first import of a session is the slowest
    for name in ("cold", "warm"):
        init[name] = command(checkpoint, "rlpo", RANK, work / "spectra-init")
        inspection[name] = inspected(adapter, checkpoint, work / "spectra")
    base = {
        "init": command(tiny, "rlpo", RANK, work / "spectra-tiny")[0],
        "inspect": inspected(small, tiny, work / "spectra-tiny")[0],
    }
    tail = inspected(adapter, checkpoint, work / "spectra", "tail")
    cold, warm = (inspection[name][0] - base["inspect"] for name in ("cold", "warm"))
    reference = init["cold"][0] - base["init"]
    return {
        "layers": layers,
        "rank": RANK,
        "whole_seconds": {
            **{f"init {name}": init[name][0] for name in init},
            **{f"inspect {name}": inspection[name][0] for name in inspection},
            **{f"tiny {name}": base[name] for name in base},
        },
        "net_seconds": {"init_cold": reference, "inspect_cold": cold, "inspect_warm": warm},
        "cold_over_init": cold / reference,
        "cold_over_warm": cold / warm,
        "cold_with_the_tail_over_init": (tail[0] - base["inspect"] + cold - warm) / reference,
        "above_torch_mb": {
            "inspect": max(inspection[name][1] for name in inspection) - torch_megabytes(),
            "init": init["cold"][1] - torch_megabytes(),
            "bound": 3 * largest + 300,
        },
    }


def main() -> None:
    """Measure what is asked for and keep it; a part that is not measured again stays as it was kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--layers", type=int, default=28)
    parser.add_argument("--looks", type=int, default=150, help="on each core")
    parser.add_argument("--parts", default=",".join(PARTS), help=f"some of {', '.join(PARTS)}")
    parser.add_argument("--work", type=Path, default=None, help="where the synthetic checkpoint goes")
    arguments = parser.parse_args()
    quiet()
    chosen = arguments.parts.split(",")
    results = {} if set(chosen) == set(PARTS) else kept("geometry")
    if "live" in chosen:
        results["live"] = live(arguments.looks)
    if "inspect" in chosen:
        with tempfile.TemporaryDirectory(dir=arguments.work) as place:
            results["inspect"] = after_the_fact(Path(place), arguments.layers)
    print(keep("geometry", results))


if __name__ == "__main__":
    main()
