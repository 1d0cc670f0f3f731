"""nano: the language model that ships with Stiefel, 0.8M parameters of Qwen3's architecture, and what it can do."""

from __future__ import annotations

from pathlib import Path

NANO = "nano"
NANO_PATH = Path(__file__).parent / "weights"
DEMO_GRID = Path(__file__).parent / "demo.toml"
