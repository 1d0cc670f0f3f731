"""A directory of a process's own is removed by the next process where that one was killed, and never before."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from stiefel.comparison.held import Held

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
