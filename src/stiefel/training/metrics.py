"""One row of `metrics.jsonl` per rollout, gathered from the logs of its updates."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from ..artifacts import append_text
from ..memory import peak_memory_bytes
from .optimizers import other_rates
from .trainer import GRPOTrainer

# ours → TRL's, averaged over the rollout's updates where TRL logs them at each
NAMES = {
    "reward": "reward",
    "correct": "correct",
    "unreadable_fraction": "unreadable_fraction",
    "grad_norm": "grad_norm",
    "entropy": "entropy",
    "clip_fraction": "clip_ratio/region_mean",
    "completion_length": "completions/mean_length",
    "truncated_fraction": "completions/clipped_ratio",
    "zero_std_fraction": "frac_reward_zero_std",
    "sampled_groups": "sampled_groups",
    "engine_mismatch": "engine_mismatch",
    "sync_survival": "sync_survival",
    "sync_error": "sync_error",
    "kl_rollout": "kl_rollout",
    "kl_base": "kl_base",
    "kl_base_k1": "kl_base_k1",
    "kl_reference": "kl",
}

Row = dict[str, Any]


class RolloutMetrics(TrainerCallback):  # type: ignore[misc]
    """Writes a row when a rollout's last update is done; a row is on disk before the next rollout begins.

    A figure that is not finite has no place in JSON: it is left out of the row, and named in `not_finite`.
    """

    def __init__(self, path: Path, on_row: Callable[[Row], None]) -> None:
        self._path, self._on_row = path, on_row
        self._trainer: GRPOTrainer | None = None
        self._logs: list[dict[str, float]] = []
        self._began, self._tokens = time.perf_counter(), 0

    def watch(self, trainer: GRPOTrainer) -> None:
        """The trainer whose rollouts are written."""
        self._trainer = trainer

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Start the clock after TRL's set-up."""
        assert self._trainer is not None
        self._began, self._tokens = time.perf_counter(), self._trainer.sampled_tokens

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float], **kwargs: Any) -> None:
        """Keep an update's log; write the row at the last one of the rollout."""
        trainer = self._trainer
        assert trainer is not None
        if "grad_norm" not in logs:  # the summary at the end of training
            return
        self._logs.append(logs)
        if len(self._logs) < trainer.updates_per_rollout:
            return
        row = self._row(trainer, int(state.global_step) // trainer.updates_per_rollout)
        if trainer.accelerator.is_main_process:
            append_row(self._path, row)
        self._logs, self._tokens = [], trainer.sampled_tokens
        self._on_row(row)
        self._began = time.perf_counter()  # what the row's reader does, such as evaluating, is not training

    def _row(self, trainer: GRPOTrainer, step: int) -> Row:
        rate = self._logs[0]["learning_rate"]
        assert trainer.optimizer is not None
        row: Row = {"step": step, "learning_rate": rate, **other_rates(trainer.optimizer, rate)}
        for ours, theirs in NAMES.items():
            values = [logs[theirs] for logs in self._logs if logs.get(theirs) is not None]
            if values and (ours != "unreadable_fraction" or any(values)):
                row[ours] = sum(values) / len(values)
        row["grad_norm_max"] = max(logs["grad_norm"] for logs in self._logs)
        if all("step_scale" in logs for logs in self._logs):
            scales = [logs["step_scale"] for logs in self._logs]
            row["kl_update"] = max(logs["kl_update"] for logs in self._logs)
            if "kl_rows" in self._logs[0]:
                row["kl_rows"] = max(logs["kl_rows"] for logs in self._logs)
            if "kl_rows_total" in self._logs[-1]:
                row["kl_rows_total"] = self._logs[-1]["kl_rows_total"]
            row["step_scale"], row["capped_updates"] = min(scales), sum(scale < 1 for scale in scales)
            if "kl_rounding" in self._logs[0]:
                row["kl_rounding"] = max(logs["kl_rounding"] for logs in self._logs)
            row["cap_passes"] = sum(logs["cap_passes"] for logs in self._logs)
        kl_step = trainer.kl_step()  # every process takes part
        if kl_step is not None:
            row["kl_step"] = kl_step
        seconds = time.perf_counter() - self._began
        row["tokens_per_second"] = (trainer.sampled_tokens - self._tokens) / seconds
        row["peak_memory_bytes"] = peak_memory_bytes()
        row["seconds"] = seconds
        strange = [key for key, value in row.items() if not math.isfinite(value)]
        finite = {key: value for key, value in row.items() if key not in strange}
        return {**finite, "not_finite": strange} if strange else finite


def append_row(path: Path, row: Row) -> None:
    """Add one row to a JSON-lines file."""
    append_text(path, json.dumps(row, allow_nan=False) + "\n")
