"""What looking costs: the live callback on nano, and `inspect` beside `init` on Qwen2.5-1.5B's shapes.

`python -m benchmarks.geometry [--layers 28] [--pairs 200]`: 3 GB of disk, half an hour on two idle cores.
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
from benchmarks.machine import keep
from benchmarks.pairs import Turn, interleaved
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

EVERY, RANK, TOKENS, JOURNAL = 10, 16, 24, "geometry.jsonl"
PROGRAM = (
    "import sys, time; began = time.perf_counter()\n"
    "from stiefel.geometry import inspect\n"
    "inspect(sys.argv[1], sys.argv[2], also=tuple(sys.argv[3:]))\n"
    "from stiefel.memory import peak_resident_bytes\n"
    "print(time.perf_counter() - began, peak_resident_bytes())"
)


def nano_trainer(out: Path, rollouts: int, *callbacks: TrainerCallback, watched: bool) -> Any:
    """An RLPO run on nano whose completions all have the same length; `watched` writes geometry.jsonl."""
    recipe = make_recipe(
        {
            "optim": {"rollouts": rollouts, "updates_per_rollout": 1},
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
        callbacks=[*([GeometryCallback(out / JOURNAL, model, EVERY)] if watched else []), *callbacks],
        rate_factor=rate_factor(recipe.optim),
    )
    for callback in (PrinterCallback, ProgressCallback):
        trainer.remove_callback(callback)
    return trainer


def live(pairs: int) -> dict[str, Any]:
    """Rollouts of two runs in turns, one of them watched: by how much its time is longer, with a 95% interval.

    And what one measurement takes by its own clock, as a share of the ten rollouts that it comes with.
    """
    torch.set_num_threads(1)
    measurements: list[float] = []

    def watched(turn: Turn, out: Path) -> Any:
        trainer = nano_trainer(out, pairs, turn, watched=True)
        trainer.add_callback(Seconds(out / JOURNAL, measurements))
        return trainer

    times = interleaved((lambda turn, out: nano_trainer(out, pairs, turn, watched=False), watched), pairs, 1)
    measurement = statistics.median(measurements)
    return {
        "pairs": times["pairs"],
        "step_seconds": times["seconds"],
        "measurement_seconds": measurement,
        "share_at_every_10th_step": measurement / (EVERY * times["seconds"]),
        "share_of_pairs": times["total"] - 1,
        "share_of_pairs_95": [bound - 1 for bound in times["total_interval"]],
    }


class Seconds(TrainerCallback):  # type: ignore[misc]
    """Reads the journal before it is deleted."""

    def __init__(self, journal: Path, into: list[float]) -> None:
        self.journal, self.into = journal, into

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """What each measurement took."""
        self.into += [row["seconds"] for row in read_jsonl(self.journal)]


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
    """Measure both and keep them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--layers", type=int, default=28)
    parser.add_argument("--pairs", type=int, default=200)
    parser.add_argument("--work", type=Path, default=None, help="where the synthetic checkpoint goes")
    arguments = parser.parse_args()
    quiet()
    with tempfile.TemporaryDirectory(dir=arguments.work) as place:
        results = {"live": live(arguments.pairs), "inspect": after_the_fact(Path(place), arguments.layers)}
    print(keep("geometry", results))


if __name__ == "__main__":
    main()
