"""What a terminal shows while work goes on: a line a bar at any width, words above the bars, nothing left of them."""

from __future__ import annotations

import fcntl
import io
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import time
from contextlib import suppress
from pathlib import Path

import pytest
from rich.console import Console

from stiefel.cli import main
from stiefel.comparison.cells import rollouts_done
from stiefel.comparison.words import speak_into, words_of_workers
from stiefel.progress import GridTable, RunNote, RunState, TimeLeft, bars
from stiefel.recipe.recipe import make_recipe

NAMES = {f"seed{n // 18}-lr0.000{n // 6 % 3}-random_orthonormal+lora_fa{n % 6}": 30 for n in range(54)}

SCRIPT = """
import sys, time
from stiefel.progress import RunState, grid_progress
from stiefel.cli.options import say
names = {f"seed{n // 18}-lr0.000{n // 6 % 3}-random_orthonormal+lora_fa{n % 6}": 30 for n in range(54)}
try:
    with grid_progress() as update:
        states = {name: RunState("waiting", 0, 30) for name in names}
        for number, name in enumerate(names):
            for done in range(1, 31):
                states[name] = RunState("going" if done < 30 else "done", done, 30, done / 30)
                time.sleep(0.004)
                update(dict(states))
            if number == 5:
                say("a line of words")
            if number == 12:
                say("enough")
                time.sleep(60)
except KeyboardInterrupt:
    say("interrupted")
"""


def screen(raw: bytes, width: int, height: int) -> list[str]:
    """What a terminal of that size, with its scrollback, shows of the bytes it was sent: rows of text."""
    rows: list[list[str]] = [[]]
    row = column = 0
    for piece in re.split(r"(\x1b\[[0-9;?]*[A-Za-z]|[\r\n])", raw.decode("utf-8", "replace")):
        control = re.fullmatch(r"\x1b\[([0-9;?]*)([A-Za-z])", piece)
        if piece == "\r":
            column = 0
        elif piece == "\n":
            row, column = row + 1, 0
        elif control and control[2] == "A":
            row = max(len(rows) - height, row - int(control[1] or 1), 0)
        elif control and control[2] == "K":
            rows[row] = []
        elif not control:
            for letter in piece:
                if column == width:
                    row, column = row + 1, 0
                while row >= len(rows):
                    rows.append([])
                rows[row] += [" "] * (column + 1 - len(rows[row]))
                rows[row][column] = letter
                column += 1
        while row >= len(rows):
            rows.append([])
    return ["".join(letters).rstrip() for letters in rows]


def until(ours: int, word: bytes, printed: bytes = b"") -> bytes:
    """What comes from a terminal until a word is there."""
    deadline = time.monotonic() + 120
    while word not in printed and time.monotonic() < deadline:
        printed += os.read(ours, 65536)
    return printed


def heed() -> None:
    """What is started in the background ignores SIGINT, and hands that on; a terminal's command does not."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def is_whole(during: list[str]) -> bool:
    """Whether the last frame of the script's is there, from its first line to its last."""
    whole = any("13/54" in row for row in during) and "and 34 more" in [row.strip() for row in during]
    return whole and sum("waiting" in row for row in during) == 20


@pytest.mark.parametrize("width", [60, 100])
def test_a_grid_of_54_on_a_terminal(width: int, tmp_path: Path) -> None:
    """Its total, the runs under way and others as far as there is room; words above them; a Ctrl-C leaves nothing."""
    (tmp_path / "script.py").write_text(SCRIPT)
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))
    size = {"COLUMNS", "LINES"}  # which a shell does not hand on, and a test's may
    env = {key: value for key, value in os.environ.items() if key not in size}
    streams = {"stdin": theirs, "stdout": theirs, "stderr": theirs}
    command = [sys.executable, "script.py"]
    with subprocess.Popen(command, **streams, cwd=tmp_path, env=env, preexec_fn=heed) as process:
        os.close(theirs)
        printed = until(ours, b"enough")
        during = screen(printed, width, 24)
        began = time.monotonic()
        while not is_whole(during) and time.monotonic() - began < 60:  # a frame may come in pieces
            printed += os.read(ours, 65536)
            during = screen(printed, width, 24)
        time.sleep(1)  # an interrupt in the middle of a line's writing would have it written again
        printed += b"^C"  # the terminal's own, where the cursor stands
        process.send_signal(signal.SIGINT)
        with suppress(OSError):
            printed = until(ours, b"interrupted", printed)
            while piece := os.read(ours, 65536):
                printed += piece
    os.close(ours)
    assert all(len(row) <= width for row in during)
    assert "a line of words" in during
    shown = [row for row in during if "/54" in row or "/30" in row]
    assert len(shown) <= 23
    assert re.match(r"13/54 runs are done, about \d+:\d\d left", shown[0])
    assert sum("waiting" in row for row in shown) == 20
    assert re.search(r"^and 34 more", "\n".join(during), re.M)
    after = [row for row in screen(printed, width, 24) if row]
    assert after == ["a line of words", "enough", "interrupted"]


@pytest.mark.parametrize("width", [40, 60, 100, 200])
def test_a_bar_is_one_line_and_never_a_full_one(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long its name and note are."""
    monkeypatch.setenv("COLUMNS", str(width))
    progress = bars()
    progress.add_task("a-name-that-is-very-long-" * 4, total=1000, note="a note that is very long " * 5)
    progress.add_task("short", total=1000, completed=1000, note="")
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    with console.capture() as capture:
        console.print(progress.get_renderable())
    lines = capture.get().splitlines()
    assert len(lines) == 2
    assert all(len(line) <= width - 3 for line in lines)


def drawn(table: GridTable, width: int, height: int) -> list[str]:
    """The lines of a grid's table on a terminal of that size."""
    console = Console(file=io.StringIO(), width=width, height=height, force_terminal=True, color_system=None)
    with console.capture() as capture:
        console.print(table)
    return capture.get().splitlines()


@pytest.mark.parametrize("width", [40, 60, 100])
def test_no_more_runs_are_drawn_than_a_screen_has_lines(width: int) -> None:
    """Those that go on first, then those that failed, then those that wait; no line is a full one."""
    table = GridTable()
    words = {3: "done", 5: "failed", 50: "going", 53: "diverged"}
    states = {
        name: RunState(words.get(number, "waiting"), 12, 30, 0.25 if number == 50 else None, "no\nroom left " * 9)
        if number == 5
        else RunState(words.get(number, "waiting"), 12, 30, 0.25 if number == 50 else None)
        for number, name in enumerate(NAMES)
    }
    table.update(states)
    for height in (5, 10, 24):
        lines = drawn(table, width, height)
        assert len(lines) <= height - 2
        assert all(len(line) <= width - 3 for line in lines)
        assert lines[0].startswith("2/54 runs are done, 1 failed"[: width - 4])
        assert any("going" in line for line in lines)
        assert any("failed" in line for line in lines[1:]) == (height > 5)
        assert any("waiting" in line for line in lines) == (height > 6)
        assert lines[-1] == f"and {54 - (height - 4)} more"
    whole = drawn(table, 100, 60)
    assert len(whole) == 55
    assert "12/30 reward 0.250" in re.sub(" +", " ", whole[51])
    assert "no room left" in whole[6]


def test_the_time_that_is_left_is_told_by_what_was_done_since_it_was_first_asked() -> None:
    """What an earlier call had finished tells nothing, a run that failed will take no more."""
    now = [100.0]
    left = TimeLeft(lambda: now[0])
    old, new = RunState("done", 30, 30), RunState("waiting", 0, 30)
    assert left.words({"a": old, "b": new, "c": new}) == ""
    now[0] += 60
    assert left.words({"a": old, "b": RunState("going", 15, 30), "c": new}) == ", about 3:00 left"
    now[0] += 60
    assert left.words({"a": old, "b": old, "c": RunState("failed", 0, 30)}) == ""


def test_a_run_that_ended_early_or_has_no_rollouts_counts_as_through(tmp_path: Path) -> None:
    """A diverged one stands still; a supervised one counts updates, of which nobody knows how many there will be."""
    rollouts, supervised = make_recipe({}), make_recipe({"algorithm": {"name": "sft"}})
    (tmp_path / "metrics.jsonl").write_text('{"step": 12}\n')
    (tmp_path / "manifest.json").write_text('{"status": "running"}')
    assert [rollouts_done(recipe, tmp_path) for recipe in (rollouts, supervised)] == [12, 0]
    (tmp_path / "metrics.jsonl").write_text('{"step": 60}\n')  # and its last measurement is still to come
    assert rollouts_done(rollouts, tmp_path) == 59
    (tmp_path / "manifest.json").write_text('{"status": "diverged"}')
    assert [rollouts_done(recipe, tmp_path) for recipe in (rollouts, supervised)] == [60, 60]


def test_the_kl_that_is_shown_is_named_and_is_the_one_to_the_base() -> None:
    """That of the rollout's own policies is 0 at one update a rollout."""
    note = RunNote()
    assert note.of({"step": 1, "reward": 0.5, "kl_rollout": 0.0}) == "reward 0.500"
    assert note.of({"step": 2, "reward": 0.5, "kl_rollout": 0.1, "kl_base": 0.02}) == "reward 0.500  KL to base 2.0e-02"
    assert note.of({"step": 3, "reward": 0.75, "kl_rollout": 0.1}) == "reward 0.750  KL to base 2.0e-02"  # the last one


def test_a_run_ends_on_its_scores(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And says them again where it is finished already; the directory stays the last line."""
    (tmp_path / "recipe.toml").write_text(
        "[optim]\nrollouts = 1\n[rollout]\nprompts = 2\ncompletions = 4\n[run]\nthreads = 1\n"
        '[eval]\ntasks = ["nano-sort", "nano-reverse"]\nlimit = 4\n'
    )
    for more in ([], ["--resume"]):
        with pytest.raises(SystemExit):
            main(["train", str(tmp_path / "recipe.toml"), "--out", str(tmp_path / "run"), *more])
        lines = capsys.readouterr().out.splitlines()
        assert lines[-1] == str(tmp_path / "run")
        for task in ("nano-sort", "nano-reverse"):
            (line,) = [line for line in lines if line.startswith(task)]
            assert re.search(
                r"\d\.\d{3} → \d\.\d{3} +[+-]\d\.\d{3} \[[+-]\d\.\d{3}, [+-]\d\.\d{3}\], 4 questions", line
            )
        assert any(line.startswith("reward, first → last") for line in lines)


def test_what_workers_print_is_said_line_by_line() -> None:
    """Lines of two that write at once stay whole, whatever the pieces they come in."""
    said: list[str] = []
    with words_of_workers(said.append) as words:
        children = []
        for name in (b"a", b"b"):
            child = os.fork()
            if not child:
                speak_into(words)
                for _ in range(50):
                    os.write(2, name * 40 + b"\n")
                os.write(1, name + b" ends")
                os.write(1, b" here\n")
                os._exit(0)
            children.append(child)
        for child in children:
            os.waitpid(child, 0)
    assert sorted(set(said)) == sorted({"a" * 40, "b" * 40, "a ends here", "b ends here"})
    assert len(said) == 102
