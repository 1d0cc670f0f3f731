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


def apart(methods: dict[str, dict[str, Any]]) -> tuple[dict[str, float], dict[str, float]]:
    """The methods that are decided to be better than LoRA, and those that are decided to be worse, with by how much."""
    decided = {name: one["over_lora"]["mean"] for name, one in methods.items() if name != "lora" and differs(one)}
    better, worse = ({name: mean for name, mean in decided.items() if sign * mean > 0} for sign in (1, -1))
    return better, worse
