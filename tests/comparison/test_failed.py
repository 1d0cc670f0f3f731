"""A cell that fails says why, and takes nothing with it: the others go on, and --resume tries it alone again."""

from __future__ import annotations

import errno
import json
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import pytest
import torch

from stiefel.artifacts import FAILED, NoRoom, read_json, read_jsonl
from stiefel.cli import main
from stiefel.comparison import failed as failing
from stiefel.comparison.comparison import compare
from stiefel.comparison.failed import Book, as_failure, begin_again, noted
from stiefel.errors import UserError
from stiefel.recipe import load_grid
from stiefel.report import failure_lines, has_rows
from stiefel.run import finished
from tests.comparison.conftest import left_by

# rewards, which are called once here before any cell begins, and misbehave in a worker alone
REWARDS = """
import multiprocessing, os, signal
import torch

def is_worker():
    return multiprocessing.parent_process() is not None

def good(completion, answer, **row):
    if is_worker():
        with open("calls.txt", "a") as file:
            file.write(f"called on {os.environ['OMP_NUM_THREADS']}, {torch.get_num_threads()} threads\\n")
    return float(completion == answer)

def raises(completion, answer, **row):
    if is_worker():
        raise ValueError("no more")
    return 0.5

def is_killed(completion, answer, **row):
    if is_worker():
        os.kill(os.getpid(), signal.SIGKILL)
    return 0.5

def meets_a_bug(completion, answer, **row):
    if is_worker():
        torch.Tensor.backward = lambda *given, **more: 1 / 0
    return 0.5
"""
GRID = """[recipe.rollout]
prompts = 2
completions = 2
max_completion_tokens = 8
[recipe.optim]
rollouts = 1
[recipe.task]
name = "sums"
data = "rows.jsonl"
[recipe.run]
threads = 1
[recipe.eval]
limit = 2
[axes]
"""
# (reward, what is measured): a base of one's own task is graded by the reward, and fails with it
CELLS = {
    "a base that fails": ("raises", "sums"),
    "none": ("good", "sums"),
    "a kill": ("is_killed", "nano-sort"),
    "none, of the same base": ("good", "sums"),
    "a bug": ("meets_a_bug", "nano-sort"),
}
WHY = {
    "a base that fails": ("its base could not be measured: the reward failing_rewards:raises", "for the completion"),
    "a kill": ("its process was ended from outside", "the machine ran out of memory"),
    "a bug": ("ZeroDivisionError: division by zero", "in <lambda>"),
}


@dataclass(frozen=True)
class Compared:
    """What a comparison said, and with what it ended."""

    status: int | str | None
    printed: str
    said: str


def compared(*options: str) -> Compared:
    """`stiefel compare`, one at a time."""
    printed, said = StringIO(), StringIO()
    with redirect_stdout(printed), redirect_stderr(said), pytest.raises(SystemExit) as ended:
        main(["compare", "grid.toml", "--jobs", "1", "--out", "out", *options])
    return Compared(ended.value.code, printed.getvalue(), said.getvalue())


@pytest.mark.timeout(900)  # a process that imports torch after each cell that failed
def test_the_rest_go_on_and_resume_tries_what_failed_alone_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "2")  # of this process: a cell's are its recipe's
    monkeypatch.syspath_prepend(str(tmp_path))
    rewards = tmp_path / "failing_rewards.py"
    rewards.write_text(REWARDS)
    (tmp_path / "rows.jsonl").write_text("".join(f'{{"prompt": "{n}+1?", "answer": "{n + 1}"}}\n' for n in range(4)))
    points = [[f"failing_rewards:{reward}", [task], number] for number, (reward, task) in enumerate(CELLS.values())]
    (tmp_path / "grid.toml").write_text(GRID + f'"task.reward, eval.tasks, run.seed" = {json.dumps(points)}\n')
    runs = dict(zip(CELLS, load_grid(tmp_path / "grid.toml").runs, strict=True))
    out = tmp_path / "out"

    first = compared()
    assert first.status == 2, first.said
    for kind, (what, why) in WHY.items():
        found = read_json(out / "runs" / runs[kind] / FAILED)
        assert found.keys() == {"what", "why", "instead"}, kind
        assert what in found["what"], kind
        assert why in found["why"], kind
        assert f"failed: {runs[kind]}: {found['what']}\n" in first.said, "at the end"
        assert f"/5] {runs[kind]} failed: {found['what']}" in first.said, "when it did"
        assert f"failed: {runs[kind]}: {found['what']}" in failure_lines(out), "in a later report"
    good = [out / "runs" / runs[kind] for kind in CELLS if kind not in WHY]
    assert all(finished(run) and not (run / FAILED).exists() for run in good)
    # the base's 2 questions once, then of each run 2 trials before its model is loaded, 4 completions and the questions
    assert (tmp_path / "calls.txt").read_text().splitlines() == ["called on 1, 1 threads"] * (2 + 2 * (2 + 4 + 2))
    assert len(list((out / "base").iterdir())) == 2, "that of two cells and that of other two"
    assert "3 of 5 runs failed" in first.said
    assert "Traceback" not in first.said
    assert f"report: {out / 'report.html'}" in first.printed
    (row,) = [row for row in json.loads((out / "table.json").read_text()) if row["seeds"]]
    assert row["seeds"] == [1, 3]

    before = {run: (left_by(run), (run / "manifest.json").stat().st_mtime_ns) for run in good}
    rewards.write_text(REWARDS.replace("    return multiprocessing.parent_process() is not None", "    return False"))
    again = compared("--resume")
    assert again.status == 0, again.said
    for run in (out / "runs").iterdir():
        assert finished(run)
        assert not (run / FAILED).exists()
        assert [row["step"] for row in read_jsonl(run / "metrics.jsonl")] == [1]
    assert before == {run: (left_by(run), (run / "manifest.json").stat().st_mtime_ns) for run in good}
    assert failure_lines(out) == []


@pytest.mark.parametrize(
    ("error", "what", "why"),
    [
        (MemoryError(), "it ran out of memory", "Python had none left"),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to"), "it ran out of memory", "CUDA out of memory"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "it ran out of memory", "[Errno 12] Cannot"),
        (OSError(errno.ENOSPC, "No space left on device"), "there was no room for what it writes", "No space left"),
        (NoRoom("w", "No space left", "i"), "w", "No space left"),
        (KeyError("x"), "KeyError: 'x'", "no check foresaw this error:\n"),
    ],
)
def test_what_is_said_of_an_error(error: Exception, what: str, why: str) -> None:
    found = as_failure(error)
    assert found.what.startswith(what)
    assert found.why.startswith(why)


def test_memory_that_torch_cannot_have_is_told_by_its_words() -> None:
    with pytest.raises(RuntimeError) as error:
        torch.empty(2**50, dtype=torch.uint8)
    assert as_failure(error.value).what == "it ran out of memory"
    assert "DefaultCPUAllocator" in as_failure(error.value).why


def test_a_disk_that_is_full_for_all_is_one_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, value: object) -> None:
        raise NoRoom(f"{path} could not be written", "No space left on device", "make room there")

    monkeypatch.setattr(failing, "write_json", full)
    with pytest.raises(UserError) as error:
        Book(tmp_path).fail("seed0", UserError("samples.jsonl could not be written", "No space", "make room"))
    assert error.value.what.startswith(
        f"{tmp_path} has no room left: seed0 failed (samples.jsonl could not be written)"
    )
    assert error.value.why == "No space left on device"
    assert "--resume" in error.value.instead


def test_a_cell_that_left_nothing_but_why_begins_anew(tmp_path: Path) -> None:
    run = tmp_path / "runs" / "seed0"
    book = Book(tmp_path)
    book.fail("seed0", UserError("a", "b", "c"))
    assert read_json(run / FAILED) == {"what": "a", "why": "b", "instead": "c"}
    (run / ".manifest.json.x7").write_text("{")  # what a kill left before the first file
    assert not has_rows(tmp_path)
    book.begin("seed0")
    assert not run.exists()
    assert book.failed == {}
    run.mkdir()
    (run / "thesis.txt").write_text("precious")
    begin_again(run)
    assert (run / "thesis.txt").is_file()


def test_a_task_of_an_array_notes_why_it_failed_and_no_divergence(tmp_path: Path) -> None:
    def task(run: Path, word: str) -> None:
        with noted(run):
            run.mkdir()
            (run / "manifest.json").write_text(json.dumps({"status": word}))
            raise ZeroDivisionError("no")

    for word in ("running", "diverged"):
        with pytest.raises(ZeroDivisionError):
            task(tmp_path / word, word)
        assert (tmp_path / word / FAILED).is_file() == (word == "running")


def test_a_comparison_returns_what_failed(tmp_path: Path) -> None:
    """And ends at once where nothing of it can be: what is refused before anything is written."""
    (tmp_path / "grid.toml").write_text('[axes]\n"adapter.rank" = [8, 65]\n')
    with pytest.raises(UserError, match="rank65"):
        compare(load_grid(tmp_path / "grid.toml"), tmp_path / "out")
    assert not (tmp_path / "out").exists()
