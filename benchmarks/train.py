"""What ours adds to a step of training: interleaved pairs of rollouts, and the ratio of their times with its interval.

`python -m benchmarks.train [--pairs 150]`. Two trainers live side by side in one process, each in a thread of its own,
and take turns rollout by rollout, so that whatever else the machine does hits both alike. A rollout is a whole one:
completions are sampled, each to the same length, so that both do the same work, then scored, and trained on. What is
compared is the thread's processor time, which other processes lengthen less than the time on the wall, kept beside it.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import trl
from datasets import Dataset
from peft import LoraConfig, get_peft_model
from transformers import TrainerCallback
from transformers.trainer_callback import PrinterCallback, ProgressCallback

import stiefel
from benchmarks.machine import keep
from stiefel.quiet import quiet
from stiefel.recipe import make_recipe
from stiefel.tasks import find_task
from stiefel.training.metrics import RolloutMetrics
from stiefel.training.rewards import GradedReward
from stiefel.training.settings import grpo_config, rate_factor
from stiefel.weights import load_model, load_tokenizer

RANK, ALPHA, TOKENS = 8, 16, 24
RECIPE = {
    "optim": {"rollouts": 1000, "updates_per_rollout": 2, "lr": 1e-5},
    "rollout": {"prompts": 8, "completions": 8, "max_completion_tokens": TOKENS},
    "run": {"threads": 1, "save_every": 0, "kl_every": 10},
}


class Turn(TrainerCallback):  # type: ignore[misc]
    """Lets the other trainer go after each rollout, and keeps the times."""

    def __init__(self, mine: threading.Semaphore, other: threading.Semaphore, rollouts: int, updates: int) -> None:
        self._mine, self._other, self._left, self._updates = mine, other, rollouts, updates
        self.cpu: list[float] = []
        self.wall: list[float] = []
        self._began = (0.0, 0.0)

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Wait for the first turn."""
        self._mine.acquire()
        self._began = (time.thread_time(), time.perf_counter())

    def on_log(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """After a rollout's last update."""
        if state.global_step % self._updates:
            return
        self.cpu.append(time.thread_time() - self._began[0])
        self.wall.append(time.perf_counter() - self._began[1])
        self._left -= 1
        if self._left == 0:
            control.should_training_stop = True
        self._other.release()
        if self._left:
            self._mine.acquire()
        self._began = (time.thread_time(), time.perf_counter())


def trainer_of(kind: str, rollouts: int, mine: Any, other: Any, out: Path) -> tuple[Any, Turn]:
    """Bare TRL with PEFT's LoRA ("trl"), or ours with a method and all live metrics."""
    recipe = make_recipe(RECIPE)
    task, tokenizer = find_task(recipe.task.name), load_tokenizer("nano")
    rows = task.rows("train", 8 * rollouts + 8, 0)
    dataset = Dataset.from_list([{"prompt": row.prompt, "answer": row.answer} for row in rows])
    config = grpo_config(recipe, out)
    config.generation_kwargs = {"min_new_tokens": TOKENS}  # no completion ends early
    turn = Turn(mine, other, rollouts, recipe.optim.updates_per_rollout)
    torch.manual_seed(0)
    base = load_model("nano")
    if kind == "trl":
        model: Any = get_peft_model(base, LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules="all-linear"))
        trainer: Any = trl.GRPOTrainer(
            model, GradedReward(task.grader), config, dataset, processing_class=tokenizer, callbacks=[turn]
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
            callbacks=[metrics, turn],
            kl_every=recipe.run.kl_every,
            rate_factor=rate_factor(recipe.optim),
        )
        metrics.watch(trainer)
    for callback in (PrinterCallback, ProgressCallback):
        trainer.remove_callback(callback)
    return trainer, turn


def interleaved(first: str, second: str, pairs: int) -> dict[str, Any]:
    """The median ratio second/first of rollout times and its 95% interval, by a bootstrap over pairs."""
    turns = [threading.Semaphore(1), threading.Semaphore(0)]
    with tempfile.TemporaryDirectory() as place:
        made = []
        for number, kind in enumerate((first, second)):
            out = Path(place) / str(number)
            out.mkdir()
            trainer, turn = trainer_of(kind, pairs, turns[number], turns[1 - number], out)
            made.append((trainer, turn))
        threads = [threading.Thread(target=trainer.train) for trainer, _ in made]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    one, other = (turn for _, turn in made)
    return {
        **ratio_of(np.array(one.cpu[2:]), np.array(other.cpu[2:])),  # the first two warm up
        "wall": ratio_of(np.array(one.wall[2:]), np.array(other.wall[2:])),
    }


def ratio_of(one: np.ndarray, other: np.ndarray) -> dict[str, Any]:
    """The median of the pairs' ratios, and the ratio of the totals, which is what a run pays: `kl_every` makes every
    tenth rollout dearer. Each with its 95% interval by a bootstrap over pairs.
    """
    ratios = other / one
    rng = np.random.default_rng(0)
    draws = np.median(rng.choice(ratios, (2000, len(ratios))), axis=1)
    totals = rng.integers(0, len(ratios), (2000, len(ratios)))
    means = other[totals].sum(1) / one[totals].sum(1)
    return {
        "pairs": len(ratios),
        "median": float(np.median(ratios)),
        "median_interval": [float(q) for q in np.quantile(draws, (0.025, 0.975))],
        "total": float(other.sum() / one.sum()),
        "total_interval": [float(q) for q in np.quantile(means, (0.025, 0.975))],
    }


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
    trainer, _ = trainer_of(kind, 3, threading.Semaphore(9), threading.Semaphore(9), out)
    trainer.train()
    return peak_resident_bytes()


# glibc gives freed blocks back at once, so that the peak is of what was in use
STEADY = {"MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}


def memory(repeats: int = 5) -> dict[str, Any]:
    """Peak memory of an anchored run against plain LoRA's, and the size of the frozen factors."""
    peaks: dict[str, list[int]] = {"lora": [], "pissa": []}
    for _ in range(repeats):
        for kind, found in peaks.items():
            with tempfile.TemporaryDirectory() as out:
                command = [sys.executable, "-c", MEMORY, kind, out]
                done = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ, **STEADY})
                found.append(int(done.stdout.split()[-1]))
    model = stiefel.attach(load_model("nano"), "pissa", r=RANK, alpha=ALPHA)
    frozen = sum(buffer.nbytes for name, buffer in model.named_buffers() if name.endswith("anchor"))
    return {
        "lora_bytes": sorted(peaks["lora"]),
        "anchored_bytes": sorted(peaks["pissa"]),
        "frozen_factor_bytes": frozen,
        "excess_bytes": int(np.median(peaks["pissa"]) - np.median(peaks["lora"])),
    }


def main() -> None:
    """Run and keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=150)
    pairs = parser.parse_args().pairs
    quiet()
    torch.set_num_threads(1)
    results = {
        "trl_lora_to_ours": interleaved("trl", "lora", pairs),
        "lora_to_pissa": interleaved("lora", "pissa", pairs),
        "lora_to_geora": interleaved("lora", "geora", pairs),
        "memory": memory(),
    }
    keep("train", results)


if __name__ == "__main__":
    main()
