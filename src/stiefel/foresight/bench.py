"""The run's trainers on a stored rollout, and on the base that samples it; nothing is written but to a scratch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from datasets import Dataset
from torch import nn
from transformers.trainer_callback import PrinterCallback, ProgressCallback

from ..errors import UserError
from ..recipe import Recipe
from ..run import adapted, load_pair
from ..tasks import Task
from ..training import GRPOTrainer, trainer_arguments
from .full_gradient import FullGradient, full_gradients
from .probe import ProbeTrainer
from .rollout import Rollout, SamplingOnly, no_signal

Progress = Callable[[str], None]
Kind = TypeVar("Kind", bound=GRPOTrainer)


@dataclass(frozen=True)
class Bench:
    """What every trainer of a preflight is made of."""

    tokenizer: Any
    task: Task
    rows: Dataset
    scratch: Path

    def trainer(self, kind: type[Kind], recipe: Recipe, model: nn.Module) -> Kind:
        """The run's trainer, but for what `kind` changes; it writes nothing."""
        # what is asked is what a step costs by itself
        whole = recipe.optim.model_copy(update={"kl_cap": 0.0, "kl_cap_rows": "", "kl_cap_total": 0.0})
        recipe = recipe.model_copy(update={"optim": whole})
        trainer = kind(model, **trainer_arguments(recipe, self.task, self.rows, self.tokenizer, self.scratch))
        for callback in (PrinterCallback, ProgressCallback):
            trainer.remove_callback(callback)
        return trainer


def sample(bench: Bench, recipe: Recipe, model: nn.Module, progress: Progress) -> Rollout:
    """The first rollout with a signal; raises UserError where there is none."""
    completions = recipe.rollout.prompts * recipe.rollout.completions
    progress(f"sampling {completions} completions of {bench.task.name}")
    trainer = bench.trainer(SamplingOnly, recipe, model)
    trainer.say = progress
    trainer.train()
    if trainer.found is None:
        raise no_signal(trainer)
    if trainer.found.sampled > 1:
        progress(f"{trainer.found.sampled - 1} rollouts had no signal: all rewards of every group were equal")
    return trainer.found


def gradients_on(bench: Bench, recipe: Recipe, bare: nn.Module, rollout: Rollout) -> dict[str, FullGradient]:
    """G₀ of the targets."""
    trainer = bench.trainer(ProbeTrainer, recipe, bare)
    trainer.rollout_given = rollout
    return full_gradients(trainer)


def started(bench: Bench, recipe: Recipe, rollout: Rollout) -> ProbeTrainer:
    """The trainer of a method at its start, on a base of its own."""
    trainer = bench.trainer(ProbeTrainer, recipe, adapted(recipe, load_pair(recipe)[0]))
    trainer.rollout_given = rollout
    if recipe.adapter.path and (difference := trainer.start_difference()):
        raise UserError(
            f"{recipe.adapter.path} has been trained: its log-probabilities differ from the base's by up to "
            f"{difference:.3g}",
            "preflight measures the first step away from the base, and this policy has left it",
            "the directory as `stiefel init` made it, or a recipe with adapter.method",
        )
    return trainer
