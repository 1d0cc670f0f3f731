"""The check for a machine with a GPU measures generation wherever a vLLM is."""

from __future__ import annotations

from pathlib import Path

from tests.benchmarks.test_device import run


def test_generation_is_measured(tmp_path: Path) -> None:
    found = run(tmp_path / "found.json", None, "--parts", "generation")
    assert found["left_out"] == {}
    assert found["generation"]["tokens_per_second"] > 0
    assert found["generation"]["survival"] > 0.99
