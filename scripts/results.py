"""What programs of benchmarks/ kept, for the pages that quote it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks.study.decided import LEVEL

RESULTS = Path(__file__).parents[1] / "benchmarks" / "results"


def results(name: str) -> dict[str, Any]:
    """One kept result."""
    found: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text())
    return found


def differs(one: dict[str, Any]) -> bool:
    """Whether a method's difference to LoRA is decided, corrected for how many there are."""
    p = one["over_lora"]["p"]
    return p is not None and p < LEVEL
