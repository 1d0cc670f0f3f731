"""AdaLoRA's schedule in a Trainer's loop: planned before the first step, cut after every one, saved and restored."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from transformers import TrainerCallback

from .adalora import allocate, is_adalora, load_training_state, orthogonality, plan_budget, training_state
from .cap import CappedTrainer


class AdaLoraBudget(TrainerCallback):  # type: ignore[misc]
    """Lets the rank of an AdaLoRA model fall to its budget over the run; PEFT leaves that to whoever trains."""

    def on_train_begin(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        """Spread the schedule over the steps of the run."""
        plan_budget(model, state.max_steps)

    def on_optimizer_step(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        """Called between the step and the clearing of the gradients; the step's number is counted up later."""
        allocate(model, state.global_step + 1)


class BudgetTrainer(CappedTrainer):
    """Trains AdaLoRA as it is meant: the rank falls, the orthogonality term is in the loss, both go on after a resume.

    Other methods are left as they are.
    """

    def __init__(self, model: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(model, *args, **kwargs)
        self._adalora = is_adalora(model)
        if self._adalora:
            self.callback_handler.callbacks.insert(
                bool(self._share), AdaLoraBudget()
            )  # after the cap, before who looks

    def _compute_loss(self, model: Any, inputs: dict[str, Any]) -> Tensor:
        loss: Tensor = super()._compute_loss(model, inputs)
        if self._adalora and self.model.training:
            loss = loss + orthogonality(self.model) / self.current_gradient_accumulation_steps
        return loss

    def method_state(self) -> dict[str, Tensor]:
        """Importance averages and what is left of each layer's triplets."""
        return training_state(self.model) if self._adalora else super().method_state()

    def load_method_state(self, state: dict[str, Tensor]) -> None:
        """The reverse of `method_state`."""
        if self._adalora:
            load_training_state(self.model, state)
        else:
            super().load_method_state(state)
