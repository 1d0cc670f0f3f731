"""`rate = "tuned"`: each method's rate is chosen on a validation split, and only then is the test asked for."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from stiefel.artifacts import read_json, read_jsonl
from stiefel.comparison import compare, write_array
from stiefel.comparison.failed import Book
from stiefel.comparison.tuned import best_rates, settle
from stiefel.errors import UserError
from stiefel.recipe import load_grid
from stiefel.recipe.grid import Grid
from stiefel.recipe.recipe import load_recipe
from stiefel.report import failure_lines, write_report
from stiefel.report.cells import cells, narrow_cells
from stiefel.report.runs import read_runs
from stiefel.report.table import table
from stiefel.run import measure_test, train

RECIPE = """
[recipe.task]
name = "my-sums"
data = "{place}/sums.jsonl"
heldout = "{place}/heldout.jsonl"
reward = "exact"
[recipe.optim]
rollouts = 1
[recipe.rollout]
prompts = 2
completions = 4
max_completion_tokens = 8
[recipe.run]
threads = 1
save_every = 0
[recipe.eval]
tasks = ["nano-sort", "my-sums"]
limit = 6
validation = 5
samples = 2
"""
RATES = '"optim.lr" = [1e-2, 1e-3]\n'
METHODS = '"adapter.method" = ["lora", "rlpo"]\n'


@dataclass
class Tuned:
    """A comparison, what it had left when its test could not be read, why that was, and what it said first."""

    grid: Grid
    out: Path
    first: Path
    error: UserError
    said: str


def write_sums(path: Path, numbers: range) -> None:
    rows = [{"prompt": f"{n}+1?", "answer": f">{n + 1}"} for n in numbers]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> Tuned:
    place = tmp_path_factory.mktemp("tuned")
    write_sums(place / "sums.jsonl", range(90))
    path = place / "grid.toml"
    path.write_text('rate = "tuned"\n' + RECIPE.format(place=place) + "[axes]\n" + RATES + METHODS)
    grid, out, first = load_grid(path), place / "out", place / "first"
    said: list[str] = []
    failed = compare(
        grid, out, resume=True, jobs=1, say=said.append
    )  # the held-out rows are not there until the choice is made
    shutil.copytree(out, first)
    write_sums(place / "heldout.jsonl", range(90, 98))
    assert compare(grid, out, resume=True, jobs=1) == {}
    return Tuned(grid, out, first, next(iter(failed.values())), said[0])


def test_resuming_a_comparison_that_is_not_there_is_said(tuned: Tuned) -> None:
    """And it is begun: what the other tests look at is what that left."""
    assert tuned.said == f"{tuned.out} holds no comparison to go on with: beginning a new one"


def test_the_test_is_not_asked_for_before_the_choice(tuned: Tuned) -> None:
    assert "heldout.jsonl" in tuned.error.what
    kept = read_json(tuned.first / "rates.json")
    assert len(kept["chosen"]) == 2
    assert [line.split(": ")[1] for line in failure_lines(tuned.first)] == sorted(kept["chosen"])
    assert failure_lines(tuned.out) == [], "they have it by now"
    for run in (tuned.first / "runs").iterdir():
        assert read_json(run / "manifest.json")["status"] == "finished"
        assert read_json(run / "eval.json") == {}
        measured = {row["task"] for row in read_jsonl(run / "samples.jsonl") if not row["when"].startswith("training")}
        assert measured == {"validation of my-sums"}
        assert read_json(run / "validation.json")["validation of my-sums"]["after"]["questions"] == 5


def test_the_chosen_cells_alone_are_measured_and_as_their_runs_would_have_been(tuned: Tuned, tmp_path: Path) -> None:
    """After what stopped the comparison in between; the choice stays."""
    kept = read_json(tuned.out / "rates.json")
    assert kept == read_json(tuned.first / "rates.json")
    scored = [run.name for run in sorted((tuned.out / "runs").iterdir()) if read_json(run / "eval.json")]
    assert scored == sorted(kept["chosen"])
    name = kept["chosen"][-1]
    recipe = load_recipe(tuned.out / "runs" / name / "recipe.toml", ["eval.defer=false"])
    train(recipe, tmp_path / "run")
    for file in ("eval.json", "samples.jsonl", "validation.json", "adapter/README.md"):
        assert (tmp_path / "run" / file).read_bytes() == (tuned.out / "runs" / name / file).read_bytes()


def test_a_measurement_that_was_killed_before_its_end_ends_alike(tuned: Tuned, tmp_path: Path) -> None:
    """Between its two files: the samples hold the test, eval.json does not."""
    done = tuned.out / "runs" / read_json(tuned.out / "rates.json")["chosen"][0]
    shutil.copytree(done, tmp_path / "run")
    (tmp_path / "run" / "eval.json").write_text("{}\n")
    measure_test(tmp_path / "run")
    for file in ("eval.json", "samples.jsonl"):
        assert (tmp_path / "run" / file).read_bytes() == (done / file).read_bytes()
    assert not (tmp_path / "run" / "measured").exists()


def test_the_report_shows_every_rate_and_the_chosen_ones_test(tuned: Tuned) -> None:
    kept = read_json(tuned.out / "rates.json")
    rows = table(read_runs(tuned.out))
    assert [row.validation.mean for row in rows] == [
        kept["validation"][f"lr{row.lr:g}-{row.series.label}"] for row in rows
    ]
    for row in rows:
        assert bool(row.tasks) == (f"lr{row.lr:g}-{row.series.label}" in kept["chosen"])
    assert "validation" in cells(rows).header
    assert "validation" in narrow_cells(rows).header
    assert write_report(tuned.out).is_file()


def test_scores_of_an_earlier_choice_are_not_shown(tuned: Tuned, tmp_path: Path) -> None:
    shutil.copytree(tuned.out, tmp_path / "out")
    kept = read_json(tmp_path / "out" / "rates.json")
    left, *_ = before = kept["chosen"]
    kept["chosen"] = before[1:]
    (tmp_path / "out" / "rates.json").write_text(json.dumps(kept))
    assert {run.name for run in read_runs(tmp_path / "out") if run.scores} == set(before) - {left}


def test_the_best_mean_over_seeds_is_chosen_and_of_equal_ones_the_smallest(tmp_path: Path) -> None:
    path = tmp_path / "grid.toml"
    joined = '"adapter.method, optim.lr" = [["lora", 1e-2], ["lora", 1e-3], ["lora", 1e-4], ["full", 1e-5]]\n'
    path.write_text('rate = "tuned"\n[axes]\n"run.seed" = [0, 1]\n' + joined)
    grid = load_grid(path)
    scores = dict.fromkeys(grid.runs, 0.0)
    scores |= {"seed0-lora-lr0.01": 0.9, "seed1-lora-lr0.01": 0.0}  # the second has diverged
    scores |= {"seed0-lora-lr0.001": 0.5, "seed1-lora-lr0.001": 0.5}
    scores |= {"seed0-lora-lr0.0001": 0.25, "seed1-lora-lr0.0001": 0.75}
    full = ["seed0-full-lr1e-05", "seed1-full-lr1e-05"]
    assert sorted(best_rates(grid.runs, scores)) == sorted([*full, "seed0-lora-lr0.0001", "seed1-lora-lr0.0001"])


def test_a_cell_keeps_200_questions_unless_its_recipe_says_how_many(tmp_path: Path, tuned: Tuned) -> None:
    path = tmp_path / "grid.toml"
    path.write_text('rate = "tuned"\n[axes]\n' + RATES)
    assert {(one.eval.validation, one.eval.defer) for one in load_grid(path).runs.values()} == {(200, True)}
    assert {(one.eval.validation, one.eval.defer) for one in tuned.grid.runs.values()} == {(5, True)}


def test_rates_are_chosen_from_an_axis_and_where_all_cells_are_seen(tmp_path: Path) -> None:
    path = tmp_path / "grid.toml"
    path.write_text('rate = "tuned"\n[axes]\n' + METHODS)
    with pytest.raises(UserError, match=r"optim\.lr"):
        load_grid(path)
    path.write_text('rate = "tuned"\n[axes]\n' + RATES)
    with pytest.raises(UserError, match="slurm"):
        write_array(load_grid(path), tmp_path / "sweep.sh")
    assert not (tmp_path / "sweep.sh").exists()


def test_a_method_with_a_failed_cell_gets_no_rate_yet(tuned: Tuned, tmp_path: Path) -> None:
    """Its choice could be another once the cell has ended, and then its test would have been looked at before."""
    shutil.copytree(tuned.first, tmp_path / "out")
    name = next(iter(tuned.grid.runs))
    shutil.rmtree(tmp_path / "out" / "runs" / name)
    said: list[str] = []
    settle(tuned.grid, tmp_path / "out", 1, said.append, Book(tmp_path / "out"))
    method = tuned.grid.runs[name].adapter.method
    chosen = read_json(tmp_path / "out" / "rates.json")["chosen"]
    assert [tuned.grid.runs[one].adapter.method for one in chosen] == [{"lora": "rlpo", "rlpo": "lora"}[method]]
    assert any(name in line and "not ended" in line for line in said)
