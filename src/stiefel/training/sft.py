"""Supervised fine-tuning: TRL's SFTTrainer with our optimizer, schedule and checkpoints; metrics of every update."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import trl
from datasets import Dataset
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR
from transformers import TrainerCallback

from ..adapter import certificate_of
from ..artifacts import CHECKPOINTS, METRICS, SAMPLES
from ..memory import peak_memory_bytes
from ..recipe import Recipe
from .adalora import is_adalora, load_training_state, training_state
from .budget import AdaLoraBudget
from .checkpoints import ExactCheckpoints
from .ending import closed_rows
from .hidden_states import require_hidden_states
from .metrics import Row, append_row
from .optimizers import is_plain, make_optimizer, other_rates
from .processes import for_processes, require_whole
from .settings import rate_factor_of_updates, sft_config

OnRow = Callable[[Row], None]


class SFTTrainer(ExactCheckpoints, trl.SFTTrainer):  # type: ignore[misc]
    """`trl.SFTTrainer` for models that `stiefel.attach` made, on rows of (prompt, completion)."""

    optimizer: Optimizer | None
    lr_scheduler: Any

    def __init__(self, recipe: Recipe, out: Path, model: Any, tokenizer: Any, rows: Dataset, on_row: OnRow) -> None:
        certificate_of(model)
        require_hidden_states(model)
        self._optim = recipe.optim
        super().__init__(
            model,
            for_processes(sft_config(recipe, out / CHECKPOINTS)),
            train_dataset=rows,
            processing_class=tokenizer,
            callbacks=[UpdateMetrics(out / METRICS, on_row)],
            journals=[out / METRICS, out / SAMPLES],
        )
        self._adalora = is_adalora(model)
        if self._adalora:  # the orthogonality term is in the loss that PEFT's model returns
            self.add_callback(AdaLoraBudget())

    def _send_telemetry(self) -> None:
        """Nothing is reported home; TRL's constructor would."""

    def _prepare_dataset(self, dataset: Any, processing_class: Any, *args: Any, **kwargs: Any) -> Any:
        prepared = super()._prepare_dataset(dataset, processing_class, *args, **kwargs)
        return closed_rows(prepared, dataset, processing_class)

    def method_state(self) -> dict[str, Tensor]:
        """Of AdaLoRA: importance averages and what is left of each layer's triplets."""
        return training_state(self.model) if self._adalora else super().method_state()

    def load_method_state(self, state: dict[str, Tensor]) -> None:
        """The reverse of `method_state`."""
        if self._adalora:
            load_training_state(self.model, state)
        else:
            super().load_method_state(state)

    def create_optimizer(self, model: Any = None) -> Optimizer:
        """The optimizer that rollouts are trained with too."""
        if self.optimizer is None:
            bare = self.accelerator.unwrap_model(self.model if model is None else model)
            self.optimizer = make_optimizer(
                bare,
                lr=self.args.learning_rate,
                weight_decay=self.args.weight_decay,
                betas=(self.args.adam_beta1, self.args.adam_beta2),
                eps=self.args.adam_epsilon,
                weight_decay_on=self._optim.weight_decay_on,
            )
            if not is_plain(self.optimizer):
                require_whole(certificate_of(bare).method, self.accelerator.distributed_type)
        optimizer: Optimizer = super().create_optimizer(model)
        return optimizer

    def create_scheduler(self, num_training_steps: int, optimizer: Optimizer | None = None) -> Any:
        """The recipe's schedule, counted in updates."""
        if self.lr_scheduler is None:
            factor = rate_factor_of_updates(self._optim, num_training_steps)
            self.lr_scheduler = LambdaLR(self.create_optimizer() if optimizer is None else optimizer, factor)
        return super().create_scheduler(num_training_steps, optimizer)


class UpdateMetrics(TrainerCallback):  # type: ignore[misc]
    """Writes a row of `metrics.jsonl` after every update; raises FloatingPointError where a loss is no number."""

    def __init__(self, path: Path, on_row: OnRow) -> None:
        self._path, self._on_row = path, on_row
        self._began, self._tokens = time.perf_counter(), 0.0

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Start the clock after TRL's set-up; TRL counts tokens from here too, also where a run goes on."""
        self._began = time.perf_counter()

    def on_log(
        self, args: Any, state: Any, control: Any, logs: dict[str, float], optimizer: Any = None, **kwargs: Any
    ) -> None:
        """One row, on disk before the next update begins."""
        if "grad_norm" not in logs:  # the summary at the end of training
            return
        step = int(state.global_step)
        for name, what in (("loss", "loss"), ("grad_norm", "gradient norm")):
            if not math.isfinite(logs[name]):
                raise FloatingPointError(f"the {what} is {logs[name]} in update {step}")
        if not state.is_world_process_zero:
            return
        now = time.perf_counter()
        row: Row = {
            "step": step,
            "loss": logs["loss"],
            "grad_norm": logs["grad_norm"],
            "learning_rate": logs["learning_rate"],
            **other_rates(optimizer, logs["learning_rate"]),
            "tokens_per_second": (logs["num_tokens"] - self._tokens) / (now - self._began),
            "peak_memory_bytes": peak_memory_bytes(),
            "seconds": now - self._began,
        }
        append_row(self._path, row)
        self._began, self._tokens = now, logs["num_tokens"]
        self._on_row(row)
