"""A grid that has grown goes on with what was begun of it; what would enter a table unasked is refused by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from stiefel.artifacts import FAILED
from stiefel.comparison.comparison import begin, may_begin, unfinished
from stiefel.comparison.slurm import write_array
from stiefel.errors import UserError
from stiefel.recipe import Grid, load_grid

SEEDS = '[axes]\n"run.seed" = [0, 1]\n'


@pytest.fixture
def begun(write_grid: Callable[[str], Path], tmp_path: Path) -> Callable[..., Path]:
    """begun(text, *statuses): a comparison of that grid whose first runs have these statuses, as far as files go."""

    def make(text: str, *statuses: str) -> Path:
        grid = load_grid(write_grid(text))
        out = tmp_path / "out"
        begin(grid, out, goes_on=False)
        for (name, recipe), word in zip(grid.runs.items(), statuses, strict=False):
            run = out / "runs" / name
            run.mkdir()
            (run / "manifest.json").write_text(f'{{"status": "{word}"}}')
            (run / "recipe.toml").write_text(recipe.to_toml())
        return out

    return make


def goes_on(grid: Grid, out: Path) -> Grid:
    """What --resume goes on with."""
    found, again = may_begin(grid, out, resume=True, force=False)
    assert again
    return found


def refusal(grid: Grid, out: Path) -> UserError:
    """Why --resume does not go on, which changes nothing."""
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    with pytest.raises(UserError) as error:
        goes_on(grid, out)
    assert before == {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    return error.value


@pytest.mark.parametrize(
    ("axes", "new"),
    [
        ('"run.seed" = [0, 1, 2]\n', ["seed2"]),
        ('"run.seed" = [2, 1, 0]\n', ["seed2"]),
        # an axis more: what has its default there is known by its recipe, and keeps its name
        ('"run.seed" = [0, 1]\n"adapter.method" = ["rlpo", "lora"]\n', ["seed0-lora", "seed1-lora"]),
        ('"optim.lr" = [1e-3]\n"run.seed" = [0, 1]\n', None),
    ],
)
def test_what_was_begun_is_kept_and_what_is_new_is_left_to_do(
    axes: str, new: list[str] | None, begun: Callable[..., Path], write_grid: Callable[[str], Path]
) -> None:
    out = begun(SEEDS, "finished", "diverged")
    grid = load_grid(write_grid(f"[axes]\n{axes}"))
    if new is None:
        refusal(grid, out)
        return
    found = goes_on(grid, out)
    assert list(found.runs.values()) == list(grid.runs.values()), "in the new grid's order"
    assert [name for name in found.runs if name not in ("seed0", "seed1")] == new
    begin(found, out, goes_on=True)
    assert (out / "grid.toml").read_text() == grid.source
    assert list(unfinished(found, out)) == new
    assert goes_on(grid, out).runs.keys() == found.runs.keys(), "and once more"


def test_an_interrupted_run_goes_on_too_and_a_failed_one_without_a_recipe_is_nothing(
    begun: Callable[..., Path], write_grid: Callable[[str], Path]
) -> None:
    out = begun(SEEDS, "finished", "running")
    (out / "runs" / "gone").mkdir()
    (out / "runs" / "gone" / FAILED).write_text("{}")
    found = goes_on(load_grid(write_grid('[axes]\n"run.seed" = [0, 1, 2]\n')), out)
    assert list(unfinished(found, out)) == ["seed1", "seed2"]


def test_runs_whose_recipe_changed_are_named_key_by_key(
    begun: Callable[..., Path], write_grid: Callable[[str], Path]
) -> None:
    five = '[axes]\n"run.seed" = [0, 1, 2, 3, 4]\n'
    out = begun(five, *["finished"] * 4, "running")
    error = refusal(load_grid(write_grid("[recipe.optim]\nrollouts = 80\n" + five)), out)
    assert error.what == (
        f"5 of the runs in {out} began with another recipe: seed0 (optim.rollouts: 60 → 80); "
        "seed1 (optim.rollouts: 60 → 80); seed2 (optim.rollouts: 60 → 80); and 2 more"
    )
    for way in ("the settings that they were begun with", "another --out", "--force"):
        assert way in error.instead
    changes = ["optim.rollouts=80", "optim.lr=1e-3", "adapter.rank=4", "run.kl_every=3", 'adapter.method="lora"']
    many = refusal(load_grid(write_grid(five), changes), out)
    assert "adapter.method: 'rlpo' → 'lora', adapter.rank: 8 → 4, optim.lr: " in many.what
    assert "and 2 more" in many.what


def test_runs_that_are_no_cells_any_more_are_named_and_left_where_they_are(
    begun: Callable[..., Path], write_grid: Callable[[str], Path]
) -> None:
    out = begun(SEEDS, "finished", "finished")
    error = refusal(load_grid(write_grid('[axes]\n"run.seed" = [0]\n"optim.lr" = [1e-3, 1e-4]\n')), out)
    assert error.what == f"{out / 'runs'} holds 2 runs that this grid has not: seed0; seed1"
    assert "would enter its table unasked" in error.why
    assert "seed0 is nearest to seed0-lr0.001: optim.lr: " in error.why
    assert "another --out" in error.instead
    one = refusal(load_grid(write_grid('[axes]\n"run.seed" = [1]\n')), out)
    assert one.what == f"{out / 'runs'} holds 1 run that this grid has not: seed0"


@pytest.mark.parametrize(("resume", "said"), [(False, "already exists"), (True, "that this grid has not")])
def test_a_comparison_of_another_grid_is_not_written_over(
    resume: bool, said: str, begun: Callable[..., Path], write_grid: Callable[[str], Path]
) -> None:
    out = begun(SEEDS, "finished", "finished")
    other = load_grid(write_grid('[axes]\n"adapter.method" = ["lora", "pissa"]\n'))
    with pytest.raises(UserError, match=said):
        may_begin(other, out, resume=resume, force=False)
    assert {path.name for path in (out / "runs").iterdir()} == {"seed0", "seed1"}


def test_an_array_is_written_for_what_is_new(write_grid: Callable[[str], Path], tmp_path: Path) -> None:
    script = tmp_path / "sweep.sh"
    out = write_array(load_grid(write_grid(SEEDS)), script)
    for seed in (0, 1):
        run = out / "runs" / f"seed{seed}"
        run.mkdir()
        (run / "manifest.json").write_text('{"status": "finished"}')
    write_array(load_grid(write_grid('[axes]\n"run.seed" = [0, 1, 2]\n')), script, resume=True)
    assert [path.name for path in (tmp_path / "sweep.cells").iterdir()] == ["seed2.toml"]
