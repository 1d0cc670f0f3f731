"""nano, the language model that ships with Stiefel: 0.8M parameters of Qwen3's architecture, and what it can do.

A seed in, its weights or a list of problems out. Open problems.py first; build.py trains the weights again.
"""

from __future__ import annotations

from pathlib import Path

from .problems import Problem, problems
from .traces import worked

NANO = "nano"
NANO_PATH = Path(__file__).parent / "weights"
DEMO_GRID = Path(__file__).parent / "demo.toml"

__all__ = ["DEMO_GRID", "NANO", "NANO_PATH", "Problem", "problems", "worked"]
