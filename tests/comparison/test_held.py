"""A directory of a process's own is removed by the next process where that one was killed, and never before."""

from __future__ import annotations

import fcntl
import subprocess
import sys
from pathlib import Path

import pytest

from stiefel.comparison.held import LOCK, Held, sweep_dead

HOLD = "import sys; from pathlib import Path; from stiefel.comparison.held import Held\n"
HOLD += "print(Held(Path(sys.argv[1]), 'mine-').directory, flush=True); sys.stdin.read()"


def test_what_a_killed_process_held_is_removed_and_what_a_living_one_holds_is_not(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        theirs = Path(other.stdout.readline().strip())
        (tmp_path / "mine-unlocked").mkdir()
        first = Held(tmp_path, "mine-")
        assert theirs.is_dir()
        other.kill()
        other.wait()
        second = Held(tmp_path, "mine-")
    assert not theirs.exists()
    assert {path.name for path in tmp_path.iterdir()} == {
        "mine-unlocked",
        first.directory.name,
        second.directory.name,
    }
    first.give_up()
    second.give_up()
    assert [path.name for path in tmp_path.iterdir()] == ["mine-unlocked"]


def test_a_directory_is_not_removed_by_another_who_starts_between_any_two_steps_of_its_making(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flock, seen = fcntl.flock, []

    def while_another_starts(lock: int, how: int) -> None:
        """Our lock; the other has looked before it and looks after it, and locks for itself."""
        monkeypatch.setattr(fcntl, "flock", flock)
        for step in (lambda: None, lambda: flock(lock, how)):
            step()
            sweep_dead(tmp_path, "mine-")
            seen.append(len(list(tmp_path.iterdir())))

    monkeypatch.setattr(fcntl, "flock", while_another_starts)
    one = Held(tmp_path, "mine-")
    sweep_dead(tmp_path, "mine-")
    assert seen == [1, 1]
    assert [path.name for path in one.directory.iterdir()] == [LOCK]
    one.give_up()


START = """import sys
from pathlib import Path
from stiefel.comparison.held import Held
place = Path(sys.argv[1])
for _ in range(500):
    held = Held(place, "mine-")
    assert (held.directory / "held").is_file()
    held.give_up()
"""


def test_those_who_start_at_once_leave_each_other_alone(tmp_path: Path) -> None:
    command = [sys.executable, "-c", START, str(tmp_path)]
    starters = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    while any(process.poll() is None for process in starters):
        sweep_dead(tmp_path, "mine-")
    assert [process.communicate()[1] for process in starters] == ["", ""]
    assert not list(tmp_path.iterdir())
