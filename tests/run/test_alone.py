"""Two processes never write one directory: a command that is typed twice is refused, and harms nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from stiefel.alone import Alone
from stiefel.artifacts import GRID, MANIFEST, kinds_of
from stiefel.choice import choose
from stiefel.comparison import comparison
from stiefel.comparison.comparison import compare
from stiefel.errors import UserError
from stiefel.progress import grid_progress
from stiefel.recipe import load_grid
from stiefel.recipe.recipe import make_recipe
from stiefel.run.directory import sweep
from stiefel.run.run import train

TEXT = '[recipe.run]\nthreads = 1\n[recipe.optim]\nrollouts = 2\n[axes]\n"adapter.method" = ["lora", "rlpo"]\n'
AT_WORK = "another process is at work in"


def files(out: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}


def test_a_directory_is_one_s_until_the_block_ends(tmp_path: Path) -> None:
    with Alone(tmp_path, GRID) as first, Alone(tmp_path, GRID) as second:
        first.take()
        first.take()
        for _ in range(2):
            with pytest.raises(UserError, match=AT_WORK):
                second.take()
        assert "comparison" in kinds_of(tmp_path), "the lock is nothing foreign"
        with Alone(tmp_path, MANIFEST) as other:
            other.take()
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_holds_nothing(tmp_path: Path) -> None:
    (tmp_path / f".{GRID}.held").touch()
    with Alone(tmp_path, GRID) as place:
        place.take()
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_took_the_place_of_a_held_one_is_held_too(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    with Alone(out, GRID) as first, Alone(out, GRID) as second:
        first.take()
        out.rename(tmp_path / "old")
        out.mkdir()
        first.take()
        with pytest.raises(UserError, match=AT_WORK):
            second.take()
    assert list(out.iterdir()) == []


def test_who_begins_a_run_again_sweeps_no_lock_away(tmp_path: Path) -> None:
    (tmp_path / ".metrics.jsonl.x7").touch()
    with Alone(tmp_path, MANIFEST) as first, Alone(tmp_path, MANIFEST) as second:
        first.take()
        sweep(tmp_path)
        assert [path.name for path in tmp_path.iterdir()] == [f".{MANIFEST}.held"]
        with pytest.raises(UserError, match=AT_WORK):
            second.take()


@pytest.mark.parametrize("more", [{"resume": True}, {"force": True}])
def test_a_run_that_goes_on_elsewhere_is_not_gone_on_with(more: dict[str, bool], tmp_path: Path) -> None:
    recipe = make_recipe({"optim": {"rollouts": 2}, "run": {"threads": 1}})
    (tmp_path / MANIFEST).write_text('{"status": "running"}')
    (tmp_path / "recipe.toml").write_text(recipe.to_toml())
    (tmp_path / "metrics.jsonl").write_text('{"step": 1, "reward": 0.5}\n')
    with Alone(tmp_path, MANIFEST) as place:
        place.take()
        before = files(tmp_path)
        with pytest.raises(UserError, match=AT_WORK):
            train(recipe, tmp_path, **more)
        assert files(tmp_path) == before


@pytest.fixture
def going(tmp_path: Path) -> Callable[[str], Path]:
    """A comparison, or a choice, of that grid as it is while its first run goes on, as far as files go."""

    def make(kind: str) -> Path:
        (tmp_path / "grid.toml").write_text(TEXT)
        out, grid = tmp_path / "out", load_grid(tmp_path / "grid.toml")
        run = out / "runs" / "lora"
        run.mkdir(parents=True)
        (out / GRID).write_text(TEXT)
        (run / MANIFEST).write_text('{"status": "running"}')
        (run / "recipe.toml").write_text(grid.runs["lora"].to_toml())
        (run / "metrics.jsonl").write_text('{"step": 1, "reward": 0.5}\n')
        if kind == "choice":
            plan = {"rollouts": [2], "candidates": [2], "seeds": 1}
            record = {"status": "running", "share": 1.0, "budget": 4, "total": 4, "plan": plan, "rungs": [], "out": {}}
            (out / "choice.json").write_text(json.dumps(record))
        return out

    return make


def compared(out: Path, more: dict[str, bool]) -> None:
    compare(load_grid(out.parent / "grid.toml"), out, jobs=1, **more)


def chosen(out: Path, more: dict[str, bool]) -> None:
    grid = load_grid(out.parent / "grid.toml")
    choose(grid, out, 1.0, jobs=1, say=lambda line: None, progress=grid_progress, **more)


@pytest.mark.parametrize(("kind", "command"), [("comparison", compared), ("choice", chosen)])
@pytest.mark.parametrize("more", [{"resume": True}, {"force": True}])
def test_a_grid_that_goes_on_elsewhere_is_not_gone_on_with(
    kind: str, command: Callable[[Path, dict[str, bool]], None], more: dict[str, bool], going: Callable[[str], Path]
) -> None:
    out = going(kind)
    with Alone(out, GRID) as place:
        place.take()
        before = files(out)
        with pytest.raises(UserError, match=AT_WORK):
            command(out, more)
        assert files(out) == before


def test_what_came_while_rates_were_found_is_not_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A grid's rates take minutes; without --force nothing goes, whatever was there when the command began."""
    (tmp_path / "grid.toml").write_text(TEXT)
    grid, out = load_grid(tmp_path / "grid.toml"), tmp_path / "out"

    def meanwhile(*given: object) -> tuple[object, None]:
        out.mkdir()
        (out / "thesis.txt").write_text("precious")
        return grid, None

    monkeypatch.setattr(comparison, "with_rates", meanwhile)
    with pytest.raises(UserError, match="already exists"):
        compare(grid, out, jobs=1)
    assert [path.name for path in out.iterdir()] == ["thesis.txt"]
