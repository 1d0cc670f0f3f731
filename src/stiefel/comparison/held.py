"""A directory of a process's own, which the next one removes where the process was killed before it could."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from pathlib import Path

LOCK = "held"  # a lock on it ends with the process, whatever ends that
UNLOCKED = "new"  # what it is called until it is locked: nobody looks for that


class Held:
    """A new directory `parent/PREFIX...` for as long as this process lives, or until it is given up."""

    def __init__(self, parent: Path, prefix: str) -> None:
        sweep_dead(parent, prefix)
        self.directory = Path(tempfile.mkdtemp(dir=parent, prefix=prefix))
        self._lock = os.open(self.directory / UNLOCKED, os.O_CREAT | os.O_RDWR)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        (self.directory / UNLOCKED).rename(self.directory / LOCK)

    def give_up(self) -> None:
        """Remove it."""
        shutil.rmtree(self.directory, ignore_errors=True)
        os.close(self._lock)


def sweep_dead(parent: Path, prefix: str) -> None:
    """Remove the directories of processes of ours that are gone; one without a lock is being made."""
    for directory in parent.glob(f"{prefix}*"):
        try:
            lock = os.open(directory / LOCK, os.O_RDWR)
        except OSError:  # not there yet or any more, or another user's
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(directory, ignore_errors=True)
        except BlockingIOError:
            pass
        finally:
            os.close(lock)
