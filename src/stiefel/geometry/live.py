"""The geometry of a run while it trains: one row of `geometry.jsonl` every N rollouts."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path
from statistics import fmean
from typing import Any

from torch import nn
from transformers import TrainerCallback

from ..artifacts import append_text
from ..errors import UserError
from ..spectrum import SpectrumCache
from .watched import Row, gradient_norm, trained_of, watched_matrices


class GeometryCallback(TrainerCallback):  # type: ignore[misc]
    """Writes a row at the first, at every `every`-th and at the last rollout, after its last update.

    A row: `step` (the rollout), `summary` and `layers`. The gradient is that of the rollout's last update over the
    trained parameters, before clipping: per matrix, and in `summary.grad_norm` by kind. W's leading and trailing
    directions are solved once, when this is made, or read from the cache. `model` is what `attach` or `load` gave,
    before it trains, or a plain model, of whose linear layers a second copy is kept. Every process of a launch makes
    one, and measures; the main one writes. Raises UserError where there is no ΔW of a matrix, as for IA³
    (`watched_matrices` is empty). Cost: `Watched.figures` a matrix.
    """

    def __init__(
        self, path: Path, model: nn.Module, every: int, *, updates_per_rollout: int = 1, cache: bool = True
    ) -> None:
        assert every >= 1
        self._path, self._model, self._every, self._updates = path, model, every, updates_per_rollout
        self._watched = watched_matrices(model, SpectrumCache() if cache else None)
        if not self._watched:
            raise UserError(
                "run.geometry_every is set for an adapter without a change per matrix",
                "IA³ scales activations and LN tuning trains norms: neither has the ΔW of a matrix to measure",
                "set run.geometry_every = 0, or choose another method",
            )
        self._gradients: dict[str, float] = {}
        self._clipped = self._seconds = 0.0  # the norm of all gradients, and what they took to look at
        self._row: Row | None = None

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """The norm before clipping is known from the logs alone."""
        if args.logging_steps != 1:
            raise UserError(
                f"logging_steps = {args.logging_steps} beside GeometryCallback",
                "the gradient's norm before clipping is read from each update's log",
                "set logging_steps = 1",
            )

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """The gradients, clipped already."""
        if self._is_due(state):
            began = time.perf_counter()
            self._gradients = {watched.name: gradient_norm(watched.parameters()) for watched in self._watched}
            self._clipped = gradient_norm(trained_of(self._model))
            self._seconds = time.perf_counter() - began

    def on_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """The weights after the update."""
        if not self._is_due(state):
            return
        began = time.perf_counter()
        layers = [watched.figures() for watched in self._watched]
        self._row = {
            "step": (state.global_step + 1) // self._updates,
            "layers": layers,
            "seconds": self._seconds + time.perf_counter() - began,
        }

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float], **kwargs: Any) -> None:
        """The gradient's norm before clipping, and the row."""
        if self._row is None or "grad_norm" not in logs:
            return
        factor = logs["grad_norm"] / self._clipped if self._clipped else 1.0
        for row in self._row["layers"]:
            row["grad_norm"] = factor * self._gradients[row["name"]]
        row = {"step": self._row["step"], "summary": self._summary(), **self._row}
        if state.is_world_process_zero:
            append_text(self._path, json.dumps(finite(row), allow_nan=False) + "\n")
        self._row = None

    def _is_due(self, state: Any) -> bool:
        """True at the last update of a rollout whose row is wanted."""
        update = int(state.global_step) + 1  # the callbacks of an update come before it is counted
        if update % self._updates:
            return False
        rollout = update // self._updates
        return rollout == 1 or rollout % self._every == 0 or update >= int(state.max_steps)

    def _summary(self) -> Row:
        assert self._row is not None
        layers = self._row["layers"]
        grad_norm: dict[str, float] = {}
        for watched, row in zip(self._watched, layers, strict=True):
            grad_norm[watched.kind] = math.hypot(grad_norm.get(watched.kind, 0.0), row["grad_norm"])
        summary: Row = {"grad_norm": grad_norm, "delta_norm": math.hypot(*(row["delta_norm"] for row in layers))}
        everywhere = set[str].intersection(*(set(row) for row in layers))
        for figure in sorted(everywhere - {"name", "grad_norm", "delta_norm"}):
            summary[figure] = fmean(row[figure] for row in layers)
        return summary


def finite(value: Any) -> Any:
    """The same with None for numbers that JSON cannot hold."""
    match value:
        case dict():
            return {key: finite(one) for key, one in value.items()}
        case list():
            return [finite(one) for one in value]
        case float() if not math.isfinite(value):
            return None
    return value
