"""`syncs.jsonl`: one row a sync, with what of each layer's update the engine plays."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from ..artifacts import append_text
from ..engine import Sent, Survival, together


def sync_row(rollout: int, sent: Sent) -> dict[str, Any]:
    """[survival, error] of all and of each layer; null before anything has moved."""
    every = together(sent.layers.values())
    return {
        "step": rollout,
        "sync": sent.sync,
        "dtype": sent.dtype,
        "bytes": sent.nbytes,
        "all": figures(every),
        "layers": {name: figures(layer) for name, layer in sent.layers.items()},
    }


def figures(layer: Survival) -> list[float] | None:
    """[survival, error]."""
    return None if math.isnan(layer.survival) else [layer.survival, layer.error]


def append_sync(path: Path, rollout: int, sent: Sent) -> None:
    """Add a row."""
    append_text(path, json.dumps(sync_row(rollout, sent), allow_nan=False) + "\n")
