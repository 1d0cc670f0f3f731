"""Off a terminal no command is silent for long: what is going on is said, however long one step of it takes."""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from stiefel import progress
from stiefel.cli import main
from stiefel.evaluation import directory
from stiefel.evaluation.sample import Completion
from stiefel.progress import Heartbeat, RunState, clock, grid_progress, run_progress
from stiefel.run import measurements
from stiefel.run.measurements import now_and_then
from stiefel.tasks import find_task

SLOW = "import time\ndef slow(completion, answer, **row):\n    time.sleep({seconds})\n    return {value}\n"
RECIPE = (
    '[task]\nname = "mine"\ndata = "rows.jsonl"\nreward = "{module}:slow"\n[optim]\nrollouts = 2\n'
    "[rollout]\nprompts = 2\ncompletions = 2\nmax_completion_tokens = 4\n[run]\nthreads = 1\n"
)


@pytest.fixture(autouse=True)
def _short_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "SILENCE", 0.3)


def recipe(
    place: Path, monkeypatch: pytest.MonkeyPatch, *, seconds: float, value: str = "float(len(completion))"
) -> str:
    monkeypatch.chdir(place)
    monkeypatch.setattr(sys, "path", list(sys.path))
    module = f"slow_{abs(hash(str(place)))}"
    (place / f"{module}.py").write_text(SLOW.format(seconds=seconds, value=value))
    (place / "rows.jsonl").write_text(
        "".join(json.dumps({"prompt": f"{n}+1?", "answer": "1"}) + "\n" for n in range(4))
    )
    (place / "recipe.toml").write_text(RECIPE.format(module=module))
    return "recipe.toml"


def lines(capsys: pytest.CaptureFixture[str], *arguments: str, status: int = 0) -> list[str]:
    """What a command says on stderr."""
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    printed = capsys.readouterr()
    assert ended.value.code in (status, None), printed.err
    return printed.err.splitlines()


def beats(said: list[str], words: str) -> list[str]:
    """The lines that say again what is going on."""
    return [line for line in said if re.fullmatch(re.escape(words) + r", \d+:\d\d", line)]


def test_a_rollout_that_takes_long_is_under_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And every row is said where they are far between, not each tenth."""
    said = lines(capsys, "train", recipe(tmp_path, monkeypatch, seconds=0.5), "--out", "run")
    assert len(beats(said, "rollout 2/2 under way")) >= 3  # four completions of half a second
    assert [line for line in said if line.startswith("rollout 1/2  reward")]


def test_every_row_is_said_where_they_are_far_between(capsys: pytest.CaptureFixture[str]) -> None:
    with run_progress(60) as (on_row, _):
        for step in range(1, 13):
            if step in (4, 5):
                time.sleep(0.35)
            on_row({"step": step, "reward": 0.5})
    rows = [line.split()[1] for line in capsys.readouterr().err.splitlines() if "reward" in line]
    assert set(rows) >= {"1/60", "10/60"}
    assert not set(rows) & {"2/60", "7/60", "12/60"}  # where they are not
    heart = Heartbeat("")
    heart._spoke -= 1
    assert heart.is_due


def test_eval_speaks_within_a_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Slow(directory.HFEngine):
        def __call__(self, prompts: Sequence[list[int]], seeds: Sequence[int]) -> list[Completion]:
            time.sleep(1.2)
            return super().__call__(prompts, seeds)

    monkeypatch.setattr(directory, "HFEngine", Slow)
    said = lines(capsys, "eval", "nano", "--task", "nano-sort", "--limit", "2", "--out", str(tmp_path / "out"))
    assert beats(said, "nano-sort: 0/2 samples")


def test_preflight_says_every_rollout_that_it_samples(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    said = lines(capsys, "preflight", recipe(tmp_path, monkeypatch, seconds=0.2, value="0.0"), status=2)
    for number in range(1, 9):
        assert f"rollout {number} of at most 8 had no signal, mean reward 0" in said
    assert any(
        re.search(r"had no signal, mean reward 0, \d:\d\d$|completions of mine, \d:\d\d$", line) for line in said
    )


def test_a_comparison_says_how_far_its_runs_are(capsys: pytest.CaptureFixture[str]) -> None:
    def states(a: int, b: int) -> dict[str, RunState]:
        words = {0: "waiting", 30: "done"}
        return {name: RunState(words.get(done, "going"), done, 30) for name, done in (("a", a), ("b", b))}

    with grid_progress() as on_progress:
        time.sleep(0.8)
        on_progress(states(3, 0))
        time.sleep(0.8)
        on_progress(states(30, 1))
        time.sleep(0.8)
    said = capsys.readouterr().err.splitlines()
    assert beats(said, "looking at every run before the first, and measuring the base")
    assert beats(said, "0/2 runs are done, a 3/30")
    (left,) = [line.removeprefix("[1/2] a") for line in said if line.startswith("[1/2] a")]
    assert re.fullmatch(r", about \d:\d\d left", left)  # 28 of 30 rollouts in 0.8 seconds, and 29 are left
    assert beats(said, f"1/2 runs are done, b 1/30{left}")


def test_an_evaluation_within_a_run_counts_where_it_takes_long(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    task = find_task("nano-sort")
    line = now_and_then(task, "before", said.append)
    line(250, 500)
    assert said == []
    monkeypatch.setattr(measurements, "SILENCE", 0.0)
    line(250, 500)
    line(500, 500)  # the end is said by what comes next
    assert said == ["evaluating nano-sort (before): 250/500 samples"]


def test_a_heartbeat_says_nothing_where_something_else_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    with Heartbeat("at work") as heart:
        for number in range(8):
            heart.say(f"line {number}")
            time.sleep(0.1)
    assert capsys.readouterr().err.splitlines() == [f"line {number}" for number in range(8)]


def test_a_heartbeat_says_what_is_going_on_and_not_a_remark(capsys: pytest.CaptureFixture[str]) -> None:
    with Heartbeat("at work") as heart:
        heart.say("evaluating")
        heart.say("warning: look out")
        time.sleep(0.9)
    said = capsys.readouterr().err.splitlines()
    assert said[:2] == ["evaluating", "warning: look out"]
    assert beats(said, "evaluating")
    time.sleep(0.6)
    assert capsys.readouterr().err == ""  # it has ended with its block


@pytest.mark.parametrize(("seconds", "said"), [(4.4, "0:04"), (65, "1:05"), (3600, "1:00:00"), (7325, "2:02:05")])
def test_a_clock(seconds: float, said: str) -> None:
    assert clock(seconds) == said


def test_of_several_processes_the_first_one_speaks(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RANK", "1")
    with run_progress(10) as (on_row, _):
        on_row({"step": 1, "reward": 0.5})
        time.sleep(0.7)
    assert capsys.readouterr().err == ""
