"""Rollouts that go on from a checkpoint: the place in the prompts, and what was generated and is not used up."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Sampler
from trl.trainer.utils import RepeatSampler

from .checkpoints import ExactCheckpoints
from .dynamic_sampling import SamplingTrainer


class EpochSampler(RepeatSampler):  # type: ignore[misc]
    """TRL's sampler, whose order in an epoch depends on the epoch's number and not on how it was reached."""

    def set_epoch(self, epoch: int) -> None:
        """Called by accelerate before each pass."""
        if self.shuffle:
            self.generator.manual_seed(self.seed + epoch)


class ResumableTrainer(ExactCheckpoints, SamplingTrainer):
    """Its checkpoints also hold the place in the prompts and the completions of an unfinished rollout."""

    def _get_train_sampler(self, dataset: Any = None) -> Sampler[int]:
        sampler = super()._get_train_sampler(dataset)
        return EpochSampler(
            sampler.data_source,
            sampler.mini_repeat_count,
            sampler.batch_size,
            sampler.repeat_count,
            sampler.shuffle,
            sampler.seed,
        )

    def loop_state(self) -> dict[str, Any]:
        """The place in the rollout, what was sampled, and the figures that are not logged yet."""
        entropy = [self.entropy_coef, self._last_world_entropy] if self.use_adaptive_entropy else []
        return {
            "micro_step": self._step,
            "sampled": [self.sampled_completions, self.sampled_tokens],
            "prompts_taken": self.prompt_cursor.taken,
            "metrics": {name: list(values) for name, values in self._metrics["train"].items()},
            "entropy": entropy,  # TRL's controller of the bonus
        }

    def load_loop_state(self, state: dict[str, Any]) -> None:
        """The reverse of `loop_state`."""
        self._step = state["micro_step"]
        self.sampled_completions, self.sampled_tokens = state["sampled"]
        self.prompt_cursor.taken = state["prompts_taken"]
        self._metrics["train"].update(state["metrics"])
        if state["entropy"]:
            self.entropy_coef, self._last_world_entropy = state["entropy"]

    def buffered(self) -> dict[str, Tensor]:
        """The mini-batches of a rollout that has updates left."""
        unfinished = bool(self._step % (self.args.steps_per_generation * self.num_iterations))
        return buffer_tensors(self._buffered_inputs or []) if unfinished else {}

    def load_buffered(self, tensors: dict[str, Tensor]) -> None:
        """The reverse of `buffered`."""
        self._buffered_inputs = buffer_batches(tensors, self.accelerator.device) or None


def buffer_tensors(batches: list[dict[str, Any]]) -> dict[str, Tensor]:
    """The mini-batches of a rollout, named by number and key."""
    return {
        f"{number}.{key}": value.detach().cpu().clone().contiguous()  # batches may be views of one tensor
        for number, batch in enumerate(batches)
        for key, value in batch.items()
        if value is not None
    }


def buffer_batches(tensors: dict[str, Tensor], device: torch.device) -> list[dict[str, Any]]:
    """The reverse of `buffer_tensors`."""
    batches: dict[int, dict[str, Any]] = {}
    for name, value in tensors.items():
        number, key = name.split(".", 1)
        batches.setdefault(int(number), {})[key] = value.to(device)
    return [batches[number] for number in sorted(batches)]
