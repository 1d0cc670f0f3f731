"""Tiny grids, and what a run leaves that does not depend on who ran it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stiefel.artifacts import INSPECTION, STATE, read_json, read_jsonl

CLOCK = {"seconds", "tokens_per_second", "peak_memory_bytes"}  # what differs between equal runs
TRAINER = "trainer_state.json"
SHORT = (
    "[recipe.rollout]\nprompts = 4\ncompletions = 4\nmax_completion_tokens = 16\n[recipe.run]\nthreads = 1\n"
    '[recipe.eval]\ntasks = ["nano-sort"]\nlimit = 4\n'
)


def without_clocks(found: Any) -> Any:
    """The same without what a clock or the memory said, however deep."""
    if isinstance(found, dict):
        return {key: without_clocks(value) for key, value in found.items() if key not in CLOCK}
    return [without_clocks(one) for one in found] if isinstance(found, list) else found


def read(path: Path) -> Any:
    """A file's content, of JSON without its clocks."""
    if path.suffix == ".json":
        return without_clocks(read_json(path))
    return without_clocks(read_jsonl(path)) if path.suffix == ".jsonl" else path.read_bytes()


def left_by(run: Path) -> dict[str, Any]:
    """All that a run leaves, by its path.

    By name alone what torch and the Trainer write in forms of their own, and what holds the lengths of journals, in
    which clocks are; what a report measures is left aside.
    """
    paths = [path for path in sorted(run.rglob("*")) if path.is_file() and path.name != INSPECTION]
    return {
        str(path.relative_to(run)): None if path.suffix == ".pt" or path.name in (TRAINER, STATE) else read(path)
        for path in paths
    }


@pytest.fixture(scope="session")
def same_runs() -> Callable[[Path, Path], None]:
    """same_runs(one, other): assert that two comparisons hold the same runs, to the bit."""

    def check(one: Path, other: Path) -> None:
        names = sorted(path.name for path in (one / "runs").iterdir())
        assert names == sorted(path.name for path in (other / "runs").iterdir())
        for name in names:
            first, second = left_by(one / "runs" / name), left_by(other / "runs" / name)
            assert first.keys() == second.keys(), name
            assert [path for path in first if first[path] != second[path]] == [], name

    return check


@pytest.fixture
def write_grid(tmp_path: Path) -> Callable[[str], Path]:
    """write_grid(text): a grid's file whose rollouts are tiny; the text goes on after its shared tables."""

    def write(text: str) -> Path:
        path = tmp_path / "grid.toml"
        path.write_text(SHORT + text)
        return path

    return write
