"""What looking costs: the live callback on nano, and `inspect` beside `init` on Qwen2.5-1.5B's shapes.

`python -m benchmarks.geometry [--layers 28] [--pairs 18] [--parts live,inspect]`: 3 GB of disk, half an hour idle.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from safetensors.torch import load_file, save_file
from transformers import TrainerCallback
from transformers.trainer_callback import PrinterCallback, ProgressCallback

import stiefel
from benchmarks.init import command, torch_megabytes
from benchmarks.machine import keep, kept
from benchmarks.pairs import ratio
from benchmarks.synthetic import shapes, write_checkpoint
from stiefel.artifacts import read_jsonl
from stiefel.geometry.live import GeometryCallback
from stiefel.quiet import quiet
from stiefel.recipe import make_recipe
from stiefel.streamed import prepare
from stiefel.tasks import find_task
from stiefel.training.rewards import GradedReward
from stiefel.training.settings import grpo_config, rate_factor
from stiefel.weights import load_model, load_tokenizer

EVERY, RANK, TOKENS, UPDATES, JOURNAL = 10, 16, 24, 1, "geometry.jsonl"
PARTS = ("live", "inspect")
PROGRAM = (
    "import sys, time; began = time.perf_counter()\n"
    "from stiefel.geometry import inspect\n"
    "inspect(sys.argv[1], sys.argv[2], also=tuple(sys.argv[3:]))\n"
    "from stiefel.memory import peak_resident_bytes\n"
    "print(time.perf_counter() - began, peak_resident_bytes())"
)


def trainer_of(kind: str, rollouts: int, out: Path, *also: TrainerCallback) -> Any:
    """An RLPO run on nano whose completions all have the same length; "watched" writes geometry.jsonl."""
    recipe = make_recipe(
        {
            "optim": {"rollouts": rollouts, "updates_per_rollout": UPDATES},
            "rollout": {"max_completion_tokens": TOKENS},
            "run": {"threads": 1, "save_every": 0},
        }
    )
    config = grpo_config(recipe, out / "checkpoints")
    config.generation_kwargs = {"min_new_tokens": TOKENS}
    model = stiefel.attach(load_model("nano"), "rlpo", r=8, alpha=16)
    task = find_task(recipe.task.name)
    rows = task.rows("train", (rollouts + 1) * recipe.rollout.prompts, 0)
    trainer = stiefel.GRPOTrainer(
        model,
        GradedReward(task.grader),
        config,
        Dataset.from_list([{"prompt": row.prompt, "answer": row.answer} for row in rows]),
        processing_class=load_tokenizer("nano"),
        callbacks=[*([GeometryCallback(out / JOURNAL, model, EVERY)] if kind == "watched" else []), *also],
        rate_factor=rate_factor(recipe.optim),
    )
    for callback in (PrinterCallback, ProgressCallback):
        trainer.remove_callback(callback)
    return trainer


def live(pairs: int, processes: int) -> dict[str, Any]:
    """By how much a watched run's rollouts are longer, with a 95% interval; and what a measurement takes by its own
    clock, as a share of the ten rollouts that it comes with.
    """
    times = ratio("benchmarks.geometry", "unwatched", "watched", pairs, processes)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as place:
        trainer_of("watched", 3 * EVERY, Path(place)).train()
        measurement = statistics.median(row["seconds"] for row in read_jsonl(Path(place) / JOURNAL))
    return {
        "pairs": times["pairs"],
        "processes": processes,
        "step_seconds": times["seconds"],
        "measurement_seconds": measurement,
        "share_at_every_10th_step": measurement / (EVERY * times["seconds"]),
        "share_of_pairs": times["total"] - 1,
        "share_of_pairs_95": [bound - 1 for bound in times["total_interval"]],
    }


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
    parser.add_argument("--pairs", type=int, default=18, help="in each process")
    parser.add_argument("--processes", type=int, default=10)
    parser.add_argument("--parts", default=",".join(PARTS), help=f"some of {', '.join(PARTS)}")
    parser.add_argument("--work", type=Path, default=None, help="where the synthetic checkpoint goes")
    arguments = parser.parse_args()
    quiet()
    chosen = arguments.parts.split(",")
    results = {} if set(chosen) == set(PARTS) else kept("geometry")
    if "live" in chosen:
        results["live"] = live(arguments.pairs, arguments.processes)
    if "inspect" in chosen:
        with tempfile.TemporaryDirectory(dir=arguments.work) as place:
            results["inspect"] = after_the_fact(Path(place), arguments.layers)
    print(keep("geometry", results))


if __name__ == "__main__":
    main()
