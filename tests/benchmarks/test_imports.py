"""Every module of benchmarks and scripts can be begun: none names another that has moved."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("room", ["benchmarks", "scripts"])
def test_every_module_imports(room: str) -> None:
    modules = [f"{room}.{path.stem}" for path in sorted((ROOT / room).glob("*.py")) if path.stem != "__main__"]
    assert len(modules) > 10
    code = f"import importlib\nfor name in {modules!r}: importlib.import_module(name)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
