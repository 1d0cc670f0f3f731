"""Where the metrics also go: TensorBoard, Weights & Biases, trackio."""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from ..errors import UserError


def require_reporters(names: Sequence[str]) -> None:
    """Raise for a reporter whose package is not installed, before anything is trained."""
    for name in names:
        if find_spec(name) is None:
            raise UserError(
                f"run.report_to names {name}, which is not installed",
                "the metrics would go nowhere",
                f'pip install "stiefel[{name}]", or leave it out: metrics.jsonl is always written',
            )


def report_into(run: Path, names: Sequence[str]) -> None:
    """Let TensorBoard write into RUN/tensorboard and W&B into RUN/wandb; trackio keeps its own place."""
    if "tensorboard" in names:  # the Trainer reads where from the environment, in both cases
        os.environ["TENSORBOARD_LOGGING_DIR"] = str(run / "tensorboard")
    if "wandb" in names:
        os.environ["WANDB_DIR"] = str(run)
