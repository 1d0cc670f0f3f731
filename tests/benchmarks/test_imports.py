"""Every module of benchmarks and scripts can be begun: none names another that has moved."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_module_imports() -> None:
    modules = []
    for room in ("benchmarks", "scripts"):
        found = [f"{room}.{path.stem}" for path in sorted((ROOT / room).glob("*.py")) if path.stem != "__main__"]
        assert len(found) > 10
        modules += found
    code = f"import importlib\nfor name in {modules!r}: importlib.import_module(name)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
