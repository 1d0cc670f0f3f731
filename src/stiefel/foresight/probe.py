"""A run's first optimizer step, taken by its own trainer on a stored rollout, at any rate, as often as is asked."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from ..adapter import own_weights
from ..training import ROLLOUT_LOGPS, GRPOTrainer, faint
from .rollout import Rollout


class GradientReady(Exception):
    """The gradient of the first optimizer step is there, before it is clipped."""


class ProbeTrainer(GRPOTrainer):
    """A run's trainer that is given its first rollout, and stops where the first gradient is complete."""

    rollout_given: Rollout

    def first_gradient(self) -> None:
        """Leave ∂L/∂θ of the first optimizer step in the parameters' `grad`, unclipped."""
        self._step, self.optimizer, self.lr_scheduler = 0, None, None
        try:
            self.train()
        except GradientReady:
            pass
        else:
            raise AssertionError("the run ended before its first gradient")
        finally:
            self.accelerator.free_memory()  # its optimizer's copies of what trains
            self.optimizer = self.lr_scheduler = None

    def clip(self) -> float:
        """Clip the gradients as the run does; the norm that they had."""
        return float(super()._clip_grad_norm(self.model))

    def start_difference(self) -> float:
        """The largest |Δ log π| on the rollout between the model as it is and the policy that sampled: 0 if equal."""
        return max(
            float(((self._score(self.model, piece) - piece[ROLLOUT_LOGPS]).abs() * piece["completion_mask"]).max())
            for piece in self.rollout_given.pieces
        )

    def _prepare_inputs(self, generation_batch: Any) -> Any:
        self._buffered_inputs = self.rollout_given.pieces
        return self._buffered_inputs[self._step]

    def _clip_grad_norm(self, model: Any) -> Any:
        raise GradientReady


class Probe:
    """One method at its start, with the clipped gradient of the first optimizer step.

    Memory: beside the model and the gradient a copy of what trains, which `full` and `sparse` have anyway, and while a
    step is taken the optimizer's state.
    """

    def __init__(self, trainer: ProbeTrainer) -> None:
        """`trainer` has its first gradient, clipped."""
        self._trainer = trainer
        model = trainer.model
        self._own = [(weight, weight.base) for weight in own_weights(model)]  # an untrained one: its values are these
        mine = {id(weight.parameter) for weight, _ in self._own}
        self._parameters = [
            (p, p.detach().clone()) for p in model.parameters() if p.requires_grad and id(p) not in mine
        ]
        self._method_state = trainer.method_state()
        self.rounding = 0.0  # nats a token, which scoring in a 16-bit type adds to the KL of any step

    @contextmanager
    def step(self, rate: float) -> Iterator[float]:
        """KL(π_new‖π) in nats a response token after the first step at a rate; the step is undone after the block.

        The optimizer is the method's own, new, with its groups and its decay. Estimator: `training.kl`.
        """
        trainer = self._trainer
        trainer.args.learning_rate = rate
        trainer.optimizer = None
        try:
            trainer.create_optimizer().step()
            trainer.callback_handler.on_optimizer_step(trainer.args, trainer.state, trainer.control)  # AdaLoRA's cut
            kl = trainer.kl_step()
            assert kl is not None
            yield max(kl - self.rounding, 0.0) if self.rounding else kl
        finally:
            trainer.optimizer = None
            self._restore()

    def kl(self, rate: float) -> float:
        """That KL alone."""
        with self.step(rate) as kl:
            return kl

    def find_rounding(self, rate: float, budget: float) -> None:
        """In a 16-bit type, what a step seems to cost that is too small to cost anything of the budget; taken off."""
        if self._trainer.narrow:
            found = self.kl(rate * faint(self.kl(rate), budget))
            self.rounding = found if math.isfinite(found) else 0.0

    @torch.no_grad()
    def _restore(self) -> None:
        for weight, base in self._own:
            weight.set_values(base)
        for parameter, start in self._parameters:
            parameter.copy_(start)
        self._trainer.load_method_state(self._method_state)
