"""A model that CI has not fetched fails its tests; elsewhere they are left out."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.smollm2 import left_out, require


def test_where_it_is_not(tmp_path: Path) -> None:
    assert left_out(tmp_path, {})
    assert not left_out(tmp_path, {"CI": "true"})
    with pytest.raises(pytest.fail.Exception, match="make smollm2"):
        require(tmp_path)


def test_where_it_is(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").touch()
    assert not left_out(tmp_path, {})
    require(tmp_path)


def test_ci_promises_it_and_fetches_it_before_both_suites() -> None:
    lines = (Path(__file__).parents[2] / ".ci" / "run").read_text().splitlines()
    steps = [line for line in lines if line.startswith(("export CI=true", "make "))]
    assert [step.split("  #")[0] for step in steps] == [
        *("export CI=true", "make lint", "make smollm2", "make test-vllm", "make test-verl", "make test"),
    ]
