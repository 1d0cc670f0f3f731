"""One rollout of the base, sampled, graded and scored by the run's own trainer; every method is then shown the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..errors import UserError
from ..training import ROLLOUT_LOGPS, GRPOTrainer

MOST_BATCHES = 8  # rollouts without a signal before it is the recipe's fault
# An advantage below this is rounding: a group of equal rewards has (R − mean)/(σ + 1e-4) with R − mean ≈ 1e-7.
SMALLEST = 5e-3

Batch = dict[str, Any]


@dataclass(frozen=True)
class Rollout:
    """A rollout as the trainer keeps it: in pieces, of which the first `first` make up the first optimizer step."""

    pieces: list[Batch]
    first: int
    groups: int
    mixed: int  # groups whose rewards differ
    reward: float
    sampled: int  # rollouts sampled until one had a signal
    truncated: float = 0.0  # share of its completions that were cut off

    @property
    def tokens(self) -> int:
        """Response tokens, over which the KL is a mean."""
        return sum(int(piece["completion_mask"].sum()) for piece in self.pieces)

    @property
    def completions(self) -> int:
        """Completions of the whole rollout."""
        return sum(len(piece["completion_ids"]) for piece in self.pieces)

    @property
    def first_completions(self) -> int:
        """Those of the first optimizer step."""
        return sum(len(piece["completion_ids"]) for piece in self.pieces[: self.first])


def has_signal(pieces: list[Batch]) -> bool:
    """True where a completion that takes part in the loss has an advantage."""
    return any(bool(((p["advantages"].abs() > SMALLEST) & (p["completion_mask"].sum(1) > 0)).any()) for p in pieces)


class SamplingOnly(GRPOTrainer):
    """Generates, grades and scores rollouts as a run does, and updates nothing, until one has a signal.

    A signal is an advantage that is not 0 in the first optimizer step. `found` is that rollout; its log-probabilities
    are those of the pieces as the optimizer steps see them.
    """

    found: Rollout | None = None
    say: Callable[[str], None] = staticmethod(lambda line: None)  # of each rollout without a signal
    sampled, reward = 0, 0.0  # rollouts, and the mean reward of the last one

    def training_step(self, model: Any, inputs: Any, num_items_in_batch: Any = None) -> Tensor:
        """In place of a loss and its gradient."""
        model.train()
        self._prepare_inputs(inputs)
        if self._step % self.args.steps_per_generation == 0:
            self._look()
        self._step += 1
        return torch.zeros((), device=self.accelerator.device)

    def _look(self) -> None:
        metrics = self._metrics["train"]
        self.sampled, self.reward = self.sampled + 1, float(metrics["reward"][-1])
        pieces, first = self._buffered_inputs, int(self.current_gradient_accumulation_steps)
        assert pieces is not None
        if not has_signal(pieces[:first]):
            self.say(f"rollout {self.sampled} of at most {MOST_BATCHES} had no signal, mean reward {self.reward:g}")
            return
        groups = self.args.generation_batch_size // self.num_generations
        self.found = Rollout(
            pieces=[{**piece, ROLLOUT_LOGPS: self._score(self.model, piece)} for piece in pieces],
            first=first,
            groups=groups,
            mixed=round((1 - metrics["frac_reward_zero_std"][-1]) * groups),
            reward=self.reward,
            sampled=self.sampled,
            truncated=float(metrics["completions/clipped_ratio"][-1]),
        )
        self.control.should_training_stop = True


def no_signal(trainer: SamplingOnly) -> UserError:
    """The error of a recipe on which nothing can be learnt yet."""
    return UserError(
        f"no signal in {trainer.sampled} rollouts: in the first optimizer step of each, all rewards of every group are "
        "equal",
        "a group's advantages are its rewards' differences, so the policy gradient is 0 (the last mean reward was "
        f"{trainer.reward:g})",
        "an easier or a harder task, more rollout.completions, a higher rollout.temperature, "
        "or algorithm.dynamic_sampling = true",
    )
