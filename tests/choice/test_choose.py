"""A choice on real runs: what it spends, what it leaves, how it goes on after a kill, what it refuses."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

import pytest

from stiefel.artifacts import check_room, read_json, read_jsonl
from stiefel.choice import choose, halving
from stiefel.cli import main
from stiefel.comparison.comparison import may_begin, unfinished
from stiefel.errors import UserError
from stiefel.progress import grid_progress
from stiefel.recipe.grid import load_grid
from stiefel.report.page import write_report
from stiefel.run.directory import status
from tests.cli.test_bad_input import refused

SHORT = (
    "[recipe.rollout]\nprompts = 2\ncompletions = 4\nmax_completion_tokens = 8\n[recipe.run]\nthreads = 1\n"
    '[recipe.eval]\ntasks = ["nano-sort"]\nlimit = 4\n'
)
GRID = (
    f'{SHORT}[recipe.optim]\nrollouts = 4\n[axes]\n"run.seed" = [0, 1]\n"adapter.rank" = [2]\n'
    '"adapter.method, optim.lr" = [["lora", 1e-3], ["rlpo", 1e-3], ["rlmo", 3e-4], ["full", 1e-4]]\n'
)
BUDGET = 0.6  # 19 of 32 rollouts
Chosen = tuple[Path, dict[str, Any], dict[str, Any]]
FAST = GRID.replace("rollouts = 4", "rollouts = 2").replace("[0, 1]", "[0]")


def command(place: Path, *more: str) -> list[str]:
    """`stiefel choose` of the grid in a directory, into `out` there."""
    words = ["choose", str(place / "grid.toml"), "--budget", str(BUDGET), "--out", str(place / "out"), *more]
    return [sys.executable, "-m", "stiefel", *words]


def rows(out: Path) -> dict[str, int]:
    """How many rollouts each run has."""
    return {path.parent.name: len(read_jsonl(path)) for path in sorted(out.glob("runs/*/metrics.jsonl"))}


@contextmanager
def printed_into(path: Path) -> Iterator[None]:
    """A block of which a file holds what this process, and those that it starts, print on stdout."""
    kept = os.dup(1)
    with path.open("w") as file, redirect_stdout(file):
        os.dup2(file.fileno(), 1)
        try:
            yield
        finally:
            os.dup2(kept, 1)
            os.close(kept)


@pytest.fixture(scope="module")
def chosen(tmp_path_factory: pytest.TempPathFactory) -> Chosen:
    """A directory with a grid and `out`; what was known when the command was killed in its second rung; what the one
    that went on printed on stdout, which is JSON alone.
    """
    place = tmp_path_factory.mktemp("chosen")
    (place / "grid.toml").write_text(GRID)
    with (place / "said").open("w") as said:
        process = subprocess.Popen(command(place, "--jobs", "1"), stdout=said, stderr=said)
        while process.poll() is None and max(rows(place / "out").values(), default=0) < 2:
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL, (place / "said").read_text()
    known = read_json(place / "out" / "choice.json")
    with printed_into(place / "told"), pytest.raises(SystemExit) as ended:
        main(command(place, "--resume", "--json", "--jobs", "1")[3:])
    assert ended.value.code == 0
    return place, known, read_json(place / "told")


@pytest.mark.timeout(600)  # processes that import torch, and share the cores with other tests
def test_killed_and_resumed_a_choice_keeps_to_its_budget_and_says_what_it_saw(chosen: Chosen) -> None:
    place, known, told = chosen
    out = place / "out"
    assert told == read_json(out / "choice.json")
    assert known["rungs"] == told["rungs"][:1]  # what was decided stays
    assert told["spent"] == sum(rows(out).values()) == 18
    assert told["budget"] == 19
    assert told["winner"].keys() == {"adapter.rank", "adapter.method", "optim.lr"}
    assert told["winner"]["adapter.rank"] == 2
    assert [[rung["rollouts"], len(rung["merits"]), len(rung["went_on"])] for rung in told["rungs"]] == [
        [1, 4, 2],
        [4, 2, 2],
    ]
    finalists = [each for each in told["candidates"] if each["dropped_at"] is None]
    assert [(each["rollouts"], each["seeds"]) for each in finalists] == [(8, [0, 1]), (8, [0, 1])]
    dropped = [each for each in told["candidates"] if each["dropped_at"] is not None]
    assert [(each["rollouts"], each["seeds"], each["dropped_at"]) for each in dropped] == [(1, [0], 1), (1, [0], 1)]
    best = max(finalists, key=lambda each: each["merit"])
    assert told["merit"] == best["merit"]
    assert 0 < told["probability"] <= 1
    assert told["interval"][0] <= told["merit"] <= told["interval"][1]
    assert told["not_seen"] == {"rollouts": 14, "runs_never_begun": 2, "candidates_of_one_seed": 2}
    assert len(list((out / "base").iterdir())) == 1  # the base is measured once


def test_what_lies_there_is_a_comparison_that_goes_on(chosen: Chosen) -> None:
    place, _, _ = chosen
    grid, out = load_grid(place / "grid.toml"), place / "out"
    assert may_begin(grid, out, resume=True, force=False)
    assert rows(out).keys() <= grid.runs.keys()
    assert len(unfinished(grid, out)) == 4
    halted = {name for name, count in rows(out).items() if count == 1}
    assert {status(out / "runs" / name) for name in halted} == {"running"}
    assert {load_grid(place / "grid.toml").runs[name].to_toml() for name in halted} == {
        (out / "runs" / name / "recipe.toml").read_text() for name in halted
    }
    with pytest.raises(UserError, match="is of another kind: choice, not comparison"):
        check_room(out, force=True, kind="comparison")
    assert write_report(out, say=lambda line: None).is_file()


def test_a_choice_that_is_made_is_told_again(chosen: Chosen, capsys: pytest.CaptureFixture[str]) -> None:
    place, _, told = chosen
    for more in (["--json"], []):
        with pytest.raises(SystemExit) as ended:
            main([*command(place, "--resume", *more)[3:]])
        assert ended.value.code == 0
        printed = capsys.readouterr().out
        if more:
            assert json.loads(printed) == told
        else:
            assert f"chosen: adapter.rank = 2, adapter.method = '{told['winner']['adapter.method']}'" in printed
            assert "spent 18 of 19 rollouts" in printed
            assert printed.count("dropped after 1 rollouts") == 2


def test_an_unfinished_choice_goes_on_with_its_own_budget_alone(
    chosen: Chosen, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, known, _ = chosen
    (tmp_path / "grid.toml").write_text(GRID)
    (tmp_path / "out" / "runs").mkdir(parents=True)
    (tmp_path / "out" / "grid.toml").write_text(GRID)
    (tmp_path / "out" / "choice.json").write_text(json.dumps(known))
    said = refused(capsys, *command(tmp_path, "--resume", "--budget", "0.7")[3:])
    assert "was started with --budget 0.6, not 0.7" in said


GROWN = {
    "a method more": GRID.replace('["lora", 1e-3],', '["lora", 1e-3], ["pissa", 1e-3],'),
    "another method": GRID.replace('["lora", 1e-3]', '["pissa", 1e-3]'),
    "an axis more": f'{GRID}"adapter.alpha" = [16]\n',
    "a seed more": GRID.replace("[0, 1]", "[0, 1, 2]"),
}


@pytest.mark.parametrize("change", GROWN)
def test_a_choice_cannot_grow(change: str, chosen: Chosen, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Neither one that is made nor one that was killed: nothing is trained, told or changed."""
    place, known, _ = chosen
    out = place / "out"
    (tmp_path / "grid.toml").write_text(GROWN[change])
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    said = refused(capsys, *command(tmp_path, "--resume", "--out", str(out))[3:])
    assert "a choice cannot grow" in said
    assert f"stiefel compare GRID --out {out} --resume can grow" in said
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "choice.json").write_text(json.dumps(known))
    assert "a choice cannot grow" in refused(capsys, *command(tmp_path, "--resume")[3:])


def test_a_choice_that_has_decided_nothing_cannot_rename_its_runs(
    chosen: Chosen, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place, known, _ = chosen
    (tmp_path / "grid.toml").write_text(GROWN["an axis more"])
    for path in (place / "out").glob("runs/*/recipe.toml"):
        (tmp_path / "out" / "runs" / path.parent.name).mkdir(parents=True)
        shutil.copy(path, tmp_path / "out" / "runs" / path.parent.name)
    shutil.copy(place / "out" / "grid.toml", tmp_path / "out")
    (tmp_path / "out" / "choice.json").write_text(json.dumps({**known, "rungs": []}))
    assert "a choice cannot grow" in refused(capsys, *command(tmp_path, "--resume")[3:])


def test_what_runs_the_rest_has_the_profile_and_the_changes(
    chosen: Chosen, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is printed, typed as it is, goes on with what lies there."""
    place, _, _ = chosen
    path, out = tmp_path / "a grid.toml", place / "out"
    path.write_text(f"{GRID.replace('limit = 4', 'limit = 9')}[profile.small.recipe.eval]\nlimit = 4\n")
    changes = ["run.threads=1", 'eval.tasks=["nano-sort"]']
    words = [*command(place)[3:], "--resume", "--profile", "small", *(f"--set={change}" for change in changes)]
    words[1] = str(path)
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 0
    printed = capsys.readouterr().err.splitlines()[-1].partition("; ")[2].removesuffix(" runs the rest")
    asked = shlex.split(printed)
    assert asked == [
        *("stiefel", "compare", str(path), "--profile", "small"),
        *("--set", changes[0], "--set", changes[1], "--out", str(out), "--resume"),
    ]
    assert may_begin(load_grid(path, changes, "small"), out, resume=True, force=False)[1]


def test_force_keeps_what_a_comparison_has_done_since(
    chosen: Chosen, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place, _, told = chosen
    shutil.copytree(place, tmp_path, dirs_exist_ok=True)
    dropped = next(path for path in tmp_path.glob("out/runs/*/metrics.jsonl") if len(read_jsonl(path)) == 1)
    with dropped.open("a") as lines:
        lines.write('{"step": 2, "reward": 0.5}\n')
    before = rows(tmp_path / "out")
    said = refused(capsys, *command(tmp_path, "--force")[3:])
    assert f"holds {told['spent'] + 1} rollouts" in said
    assert "a comparison has gone on with its runs" in said
    assert rows(tmp_path / "out") == before


def test_a_choice_that_was_killed_as_it_began_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After its record and before anything else: --resume knows it, and begins."""

    def killed(*given: Any, **more: Any) -> None:
        raise KeyboardInterrupt

    (tmp_path / "grid.toml").write_text(FAST)
    grid, out = load_grid(tmp_path / "grid.toml"), tmp_path / "out"
    monkeypatch.setattr(sys.modules["stiefel.choice.choose"], "begin", killed)
    for resume in (False, True):
        with pytest.raises(KeyboardInterrupt):
            choose(grid, out, BUDGET, resume=resume, jobs=1, say=lambda line: None, progress=grid_progress)
        assert [path.name for path in out.iterdir()] == ["choice.json"]
    (out / "runs").mkdir()  # which are somebody's, whatever became of grid.toml
    with pytest.raises(UserError, match="holds no comparison alone"):
        choose(grid, out, BUDGET, resume=True, jobs=1, say=lambda line: None, progress=grid_progress)


@pytest.mark.timeout(300)
def test_what_diverges_or_fails_is_out_with_its_reason_and_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "choice_rewards.py").write_text(
        "def fine(completion, answer):\n    return float(completion == answer)\n"
        "def broken(completion, answer):\n    if completion == answer:\n        return 1.0\n"
        "    raise ValueError('no such thing')\n"
    )
    sums = [{"prompt": f"{n}+{n}?", "answer": f">{2 * n}"} for n in range(11, 31)]
    (tmp_path / "sums.jsonl").write_text("".join(json.dumps(row) + "\n" for row in sums))
    broken, fine = "choice_rewards:broken", "choice_rewards:fine"
    points = [[1e-3, broken], [1e9, fine], [1e-4, fine]]
    (tmp_path / "grid.toml").write_text(
        f'{SHORT}[recipe.task]\nname = "sums"\ndata = "sums.jsonl"\n[recipe.optim]\nrollouts = 3\n'
        f'[axes]\n"optim.lr, task.reward" = {json.dumps(points)}\n'
    )
    with pytest.raises(SystemExit) as ended:
        main([*command(tmp_path, "--json", "--jobs", "1")[3:], "--budget", "1"])
    printed = capsys.readouterr()
    assert ended.value.code == 0, printed.err
    told = json.loads(printed.out)
    assert told["winner"] == {"optim.lr": 1e-4, "task.reward": fine}
    failed, diverged, whole = told["candidates"]
    assert "raised ValueError: no such thing" in failed["out"]
    assert "diverged: " in diverged["out"]
    assert whole["out"] is None
    assert whole["rollouts"] == 3
    assert told["probability"] is None  # there is nobody else


MISTAKES = {
    "nothing": (FAST, "0", "is no part of the grid's rollouts"),
    "less than nothing": (FAST, "-0.5", "is no part of the grid's rollouts"),
    "more than all": (FAST, "1.5", "is no part of the grid's rollouts"),
    "no number": (FAST, "nan", "is no part of the grid's rollouts"),
    "too little": (FAST, "0.4", "too few for a first rung"),
    "rates that are found": (f'rate = "kl"\n{SHORT}[axes]\n"adapter.rank" = [2, 4]\n', "0.5", 'rate = "kl" in a grid'),
    "one candidate": (f'{SHORT}[axes]\n"run.seed" = [0, 1, 2]\n', "0.5", "the grid has one candidate"),
    "no reward": (
        f'recipe.algorithm.name = "sft"\n{FAST[FAST.index("[axes]") :]}',
        "0.5",
        "supervised training has no reward",
    ),
    "a cell that cannot begin": (FAST.replace('"rlmo"', '"rlmoo"'), "0.5", "did you mean rlmo"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_message_and_leaves_nothing(
    mistake: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    grid, budget, said = MISTAKES[mistake]
    (tmp_path / "grid.toml").write_text(grid)
    words = ("choose", str(tmp_path / "grid.toml"), "--out", str(tmp_path / "out"), f"--budget={budget}")
    assert said in refused(capsys, *words)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("more", [[], ["--resume"], ["--force"]])
def test_a_directory_that_holds_something_else_is_left_alone(
    more: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "thesis.txt").write_text("precious")
    (tmp_path / "grid.toml").write_text(FAST)
    refused(capsys, *command(tmp_path, *more)[3:])
    assert [path.name for path in out.iterdir()] == ["thesis.txt"]


def test_a_comparison_is_no_choice_to_go_on_with_or_to_replace(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "grid.toml").write_text(FAST)
    (tmp_path / "out" / "runs").mkdir(parents=True)
    (tmp_path / "out" / "grid.toml").write_text(FAST)
    assert "it holds no choice" in refused(capsys, *command(tmp_path, "--resume")[3:])
    assert "comparison, not choice" in refused(capsys, *command(tmp_path, "--force")[3:])


def test_without_optuna_the_extra_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "grid.toml").write_text(FAST)
    monkeypatch.setattr(halving, "find_spec", lambda name: None)
    assert 'pip install "stiefel[choose]"' in refused(capsys, *command(tmp_path)[3:])
