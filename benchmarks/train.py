"""What ours adds to a step of training: interleaved pairs of rollouts, and the ratio of their times with its interval.

`python -m benchmarks.train [--pairs 30] [--parts …]`. Two trainers take turns (see `pairs`). A rollout is
a whole one: completions are sampled, each to the same length, so that both do the same work, then scored, trained on.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import trl
from datasets import Dataset
from peft import LoraConfig, get_peft_model
from transformers import TrainerCallback
from transformers.trainer_callback import PrinterCallback, ProgressCallback

import stiefel
from benchmarks.allocations import tensor_peak
from benchmarks.machine import keep, kept
from benchmarks.pairs import ratio
from stiefel.model.weights import load_model, load_tokenizer
from stiefel.quiet import quiet
from stiefel.recipe.recipe import make_recipe
from stiefel.tasks import find_task
from stiefel.training.metrics import RolloutMetrics
from stiefel.training.rewards import GradedReward
from stiefel.training.settings import grpo_config, rate_factor

RANK, ALPHA, TOKENS, UPDATES, KL_EVERY = 8, 16, 24, 2, 10
PARTS = ("trl_lora_to_ours", "lora_to_pissa", "lora_to_geora", "memory")
KINDS = ("lora", "rlpo", "pissa")
RECIPE: dict[str, Any] = {
    "optim": {"updates_per_rollout": UPDATES, "lr": 1e-5},
    "rollout": {"prompts": 8, "completions": 8, "max_completion_tokens": TOKENS},
    "run": {"threads": 1, "save_every": 0, "kl_every": KL_EVERY},
}


def trainer_of(kind: str, rollouts: int, out: Path, *also: TrainerCallback, **settings: Any) -> Any:
    """Bare TRL with PEFT's LoRA ("trl"), or ours with a method, all live metrics and these settings."""
    recipe = make_recipe({**RECIPE, "optim": {**RECIPE["optim"], "rollouts": rollouts}})
    task, tokenizer = find_task(recipe.task.name), load_tokenizer("nano")
    rows = task.rows("train", 8 * rollouts + 8, 0)
    dataset = Dataset.from_list([{"prompt": row.prompt, "answer": row.answer} for row in rows])
    config = grpo_config(recipe, out)
    config.generation_kwargs = {"min_new_tokens": TOKENS}  # no completion ends early
    torch.manual_seed(0)
    base = load_model("nano")
    if kind == "trl":
        model: Any = get_peft_model(base, LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules="all-linear"))
        trainer: Any = trl.GRPOTrainer(
            model, GradedReward(task.grader), config, dataset, processing_class=tokenizer, callbacks=[*also]
        )
    else:
        model = stiefel.attach(base, kind, r=RANK, alpha=ALPHA)
        metrics = RolloutMetrics(out / "metrics.jsonl", lambda row: None)
        trainer = stiefel.GRPOTrainer(
            model,
            GradedReward(task.grader),
            config,
            dataset,
            processing_class=tokenizer,
            callbacks=[metrics, *also],
            kl_every=recipe.run.kl_every,
            rate_factor=rate_factor(recipe.optim),
            **settings,
        )
        metrics.watch(trainer)
    for callback in (PrinterCallback, ProgressCallback):
        trainer.remove_callback(callback)
    return trainer


MEMORY = """
import sys
from pathlib import Path
from benchmarks.train import peak_of
print(peak_of(sys.argv[1], Path(sys.argv[2])))
"""


def peak_of(kind: str, out: Path) -> int:
    """Peak resident bytes of a process that trains three rollouts."""
    from stiefel.memory import peak_resident_bytes

    quiet()
    trainer_of(kind, 3, out).train()
    return peak_resident_bytes()


# glibc gives freed blocks back at once, so that the peak is of what was in use
STEADY = {"MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}


def memory(repeats: int = 3) -> dict[str, Any]:
    """Peak memory of an anchored run against plain LoRA's, and the size of the frozen factors.

    Of the tensors, counted at each allocation of two rollouts; and resident. Of that a LoRA that starts from W's
    singular vectors ("rlpo") takes more too, in a process that has solved for them and keeps what LAPACK loaded.
    """
    counted = {}
    for kind in ("lora", *KINDS):  # a process's first run allocates what later ones find
        with tempfile.TemporaryDirectory() as out:
            trainer = trainer_of(kind, 2, Path(out))
            counted[kind] = tensor_peak(trainer.model, trainer.train)
    peaks: dict[str, list[int]] = {kind: [] for kind in KINDS}
    for _ in range(repeats):
        for kind, found in peaks.items():
            with tempfile.TemporaryDirectory() as out:
                command = [sys.executable, "-c", MEMORY, kind, out]
                done = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ, **STEADY})
                found.append(int(done.stdout.split()[-1]))
    model = stiefel.attach(load_model("nano"), "pissa", r=RANK, alpha=ALPHA)
    return {
        "tensor_bytes": counted,
        "resident_bytes": {kind: sorted(found) for kind, found in peaks.items()},
        "frozen_factor_bytes": sum(buffer.nbytes for name, buffer in model.named_buffers() if name.endswith("anchor")),
    }


def main() -> None:
    """Run what is asked for and keep it; parts that are not measured again stay as they were kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=3 * KL_EVERY, help=f"in each process, a multiple of {KL_EVERY}")
    parser.add_argument("--processes", type=int, default=10)
    parser.add_argument("--parts", default=",".join(PARTS), help=f"some of {', '.join(PARTS)}")
    arguments = parser.parse_args()
    if arguments.pairs % KL_EVERY:  # others hold a smaller share of measured rollouts than a long run does
        parser.error(f"--pairs {arguments.pairs} is no multiple of {KL_EVERY}, the rollouts between two measurements")
    quiet()
    size, chosen = (arguments.pairs, arguments.processes), arguments.parts.split(",")
    measures: dict[str, Callable[[], dict[str, Any]]] = {
        "trl_lora_to_ours": lambda: ratio("benchmarks.train", "trl", "lora", *size),
        "lora_to_pissa": lambda: ratio("benchmarks.train", "lora", "pissa", *size),
        "lora_to_geora": lambda: ratio("benchmarks.train", "lora", "geora", *size),
        "memory": memory,
    }
    earlier = {} if set(chosen) == set(PARTS) else kept("train")
    keep("train", {**earlier, **{part: measures[part]() for part in chosen}})


if __name__ == "__main__":
    main()
