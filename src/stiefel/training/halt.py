"""A run that halts after an update, so that it can go on later."""

from __future__ import annotations

from typing import Any

from transformers import TrainerCallback


class HaltAt(TrainerCallback):  # type: ignore[misc]
    """Ends training after an update, with a checkpoint there, whatever `save_steps` says.

    The schedule stays that of the whole length: whoever goes on from the checkpoint ends in the bits of a run that was
    never halted. The Trainer logs the update before it saves, so that its row is one that the checkpoint counts.
    """

    def __init__(self, update: int) -> None:
        self._update = update

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Called after every update."""
        if state.global_step >= self._update:
            control.should_save = control.should_training_stop = True
