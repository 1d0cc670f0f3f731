"""A trained adapter of every method, saved once per type and shared."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import Tensor

from stiefel import attach, save

RANK, ALPHA = 4, 8


@dataclass(frozen=True)
class Saved:
    """A directory, and what the model that wrote it computed."""

    method: str
    anchored: bool
    dtype: torch.dtype
    directory: Path
    logits: Tensor
    start: Tensor  # the base's logits


@pytest.fixture(scope="session")
def saved_adapter(make_model, logits, take_steps, tmp_path_factory) -> Callable[..., Saved]:
    """saved_adapter(method, dtype): three optimizer steps from the start, so that the deltas are not zero."""
    found: dict[tuple[str, torch.dtype], Saved] = {}

    def get(method, dtype=torch.float32) -> Saved:
        key = (method.name, dtype)
        if key not in found:
            model = make_model(dtype)
            start = logits(model)
            adapted = attach(model, method.name, r=RANK, alpha=ALPHA)
            take_steps(adapted)
            directory = tmp_path_factory.mktemp(method.name) / "adapter"
            save(adapted, directory)
            found[key] = Saved(method.name, method.anchored, dtype, directory, logits(adapted), start)
        return found[key]

    return get
