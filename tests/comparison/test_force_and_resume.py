"""--force and --resume never cost anything that is not ours, nor a result before its successor can be made."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from stiefel.artifacts import check_room, read_json, read_jsonl
from stiefel.cli import guarded
from stiefel.comparison.comparison import compare
from stiefel.errors import UserError
from stiefel.recipe.grid import load_grid
from stiefel.run.run import finished

SHORT = "[recipe.rollout]\nprompts = 2\ncompletions = 4\nmax_completion_tokens = 16\n[recipe.run]\nthreads = 1\n"
GRID = SHORT + '[recipe.optim]\nrollouts = 2\n[axes]\n"run.seed" = [0, 1]\n'


@pytest.fixture
def grid(tmp_path: Path) -> Path:
    path = tmp_path / "grid.toml"
    path.write_text(GRID)
    return path


@pytest.fixture
def done(tmp_path: Path) -> Path:
    """A comparison's directory with one finished run in it, as far as names and manifests go."""
    run = tmp_path / "done" / "runs" / "seed0"
    run.mkdir(parents=True)
    (tmp_path / "done" / "grid.toml").write_text(GRID)
    (run / "manifest.json").write_text(json.dumps({"status": "finished"}))
    return tmp_path / "done"


@pytest.mark.parametrize("name", ["manifest.json", "grid.toml", "stiefel.json"])
def test_a_directory_with_a_foreign_file_is_never_replaced(name: str, grid: Path, tmp_path: Path) -> None:
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / name).write_text("{}")
    (foreign / "thesis.txt").write_text("precious")
    for options in ({"force": True}, {"resume": True}, {}):
        with pytest.raises(UserError):
            compare(load_grid(grid), foreign, **options)
    assert sorted(path.name for path in foreign.iterdir()) == sorted([name, "thesis.txt"])


@pytest.mark.parametrize(
    "change",
    [
        'adapter.method = "nope"',
        'model.path = "./nowhere"',
        'task.name = "nano-sorts"',
        'adapter.method = "ia3"\nrecipe.run.geometry_every = 2',  # what its own run would refuse, after others
    ],
)
def test_a_result_outlives_a_successor_that_cannot_be_made(change: str, grid: Path, done: Path, tmp_path: Path) -> None:
    grid.write_text(f'recipe.{change}\n[axes]\n"run.seed" = [0]\n')
    with pytest.raises(UserError):
        compare(load_grid(grid), done, force=True)
    assert (done / "runs" / "seed0" / "manifest.json").is_file()
    with pytest.raises(UserError):
        compare(load_grid(grid), tmp_path / "new")
    assert not (tmp_path / "new").exists()


FIRST_FILES = {  # of a directory of each kind
    "run": {"manifest.json": '{"status": "running", "seed": 0}', "recipe.toml": ""},
    "evaluation": {"manifest.json": '{"status": "finished", "task": "t", "questions": {}, "sampling": {}}'},
    "comparison": {"grid.toml": ""},
    "adapter": {"stiefel.json": "{}", "adapter_config.json": "{}"},
}


@pytest.mark.parametrize("found", FIRST_FILES)
@pytest.mark.parametrize("wanted", FIRST_FILES)
def test_force_replaces_a_directory_of_the_same_kind_alone(wanted: str, found: str, tmp_path: Path) -> None:
    for name, text in FIRST_FILES[found].items():
        (tmp_path / name).write_text(text)
    if found == wanted:
        check_room(tmp_path, force=True, kind=wanted)
        return
    with pytest.raises(UserError, match=f"is of another kind: {found}, not {wanted}"):
        check_room(tmp_path, force=True, kind=wanted)


@pytest.mark.parametrize("found", [*FIRST_FILES, "yours"])
@pytest.mark.parametrize("wanted", FIRST_FILES)
def test_force_is_advised_only_where_it_would_be_taken(wanted: str, found: str, tmp_path: Path) -> None:
    for name, text in FIRST_FILES.get(found, {"thesis.tex": ""}).items():
        (tmp_path / name).write_text(text)
    with pytest.raises(UserError, match="already exists") as refused:
        check_room(tmp_path, force=False, kind=wanted)
    assert ("--force" in str(refused.value)) == (found == wanted)


def test_what_a_kill_left_before_the_first_file_gives_way(tmp_path: Path) -> None:
    (tmp_path / ".manifest.json.x7").write_text("{")
    check_room(tmp_path, force=True, kind="evaluation")
    with pytest.raises(UserError):
        check_room(tmp_path, force=True, kind="comparison")


def test_resume_does_not_mix_two_experiments(tmp_path: Path) -> None:
    base = tmp_path / "base.toml"
    (tmp_path / "grid.toml").write_text('recipe = "base.toml"\n[axes]\n"run.seed" = [0]\n')
    base.write_text("[optim]\nlr = 1e-3\n")
    run = tmp_path / "out" / "runs" / "seed0"
    run.mkdir(parents=True)
    (tmp_path / "out" / "grid.toml").write_text((tmp_path / "grid.toml").read_text())
    (run / "manifest.json").write_text('{"status": "finished"}')
    (run / "recipe.toml").write_text(next(iter(load_grid(tmp_path / "grid.toml").runs.values())).to_toml())
    base.write_text("[optim]\nlr = 1e-2\n")
    with pytest.raises(UserError, match="another recipe"):
        compare(load_grid(tmp_path / "grid.toml"), tmp_path / "out", resume=True)


@pytest.mark.parametrize("values", ["[1e-3, 0.001]", '[["q_proj"], ["q_proj"]]'])
def test_two_points_of_one_name_are_refused(values: str, grid: Path) -> None:
    key = "optim.lr" if "e-3" in values else "adapter.targets"
    grid.write_text(f'[axes]\n"{key}" = {values}\n')
    with pytest.raises(UserError, match="two points"):
        load_grid(grid)


def test_names_are_fit_for_files(grid: Path) -> None:
    grid.write_text('[axes]\n"adapter.path" = ["a/b", "../x"]\n"optim.lr" = [3e-4, 0.00030000001]\n')
    names = list(load_grid(grid).runs)
    assert len(names) == 4
    assert not any("/" in name or name.startswith(".") for name in names)


@pytest.mark.parametrize("text", ["axes = 3", "recipe = 3", "[axes]\n'optim.lr' = 3", "profile = 3"])
def test_a_grid_of_wrong_types_gets_a_message(text: str, grid: Path) -> None:
    grid.write_text(text)
    assert guarded(lambda: load_grid(grid)) == 2


@pytest.mark.timeout(900)  # processes that import torch, and share the cores with other tests
def test_an_interrupted_comparison_stops_its_workers_and_resumes(grid: Path, tmp_path: Path) -> None:
    grid.write_text(SHORT + '[recipe.optim]\nrollouts = 12\n[axes]\n"run.seed" = [0, 1]\n')
    out = tmp_path / "out"
    command = [sys.executable, "-m", "stiefel", "compare", str(grid), "--jobs", "2", "--out", str(out)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True, preexec_fn=heed)
    begun = out / "runs" / "seed0" / "metrics.jsonl"
    deadline = time.monotonic() + 400  # three processes that import torch share the cores with other tests
    while not begun.is_file() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    _, error = process.communicate(timeout=60)  # which ends only when no worker holds the pipe any more
    assert begun.is_file(), error
    assert process.returncode == 130
    assert "--resume" in error
    assert "Traceback" not in error
    assert not any(finished(run) for run in (out / "runs").iterdir())

    grid.write_text(grid.read_text().replace("[0, 1]", "[0, 1, 2]"))  # and may have grown meanwhile
    assert compare(load_grid(grid), out, resume=True, jobs=1) == {}
    assert (out / "grid.toml").read_text() == grid.read_text()
    assert sorted(run.name for run in (out / "runs").iterdir()) == ["seed0", "seed1", "seed2"]
    for run in (out / "runs").iterdir():
        assert read_json(run / "manifest.json")["status"] == "finished"
        assert [row["step"] for row in read_jsonl(run / "metrics.jsonl")] == list(range(1, 13))


def heed() -> None:
    """A process started in the background ignores SIGINT; a person's terminal does not."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
