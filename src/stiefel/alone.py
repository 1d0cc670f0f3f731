"""One process at a time in a directory: a lock that ends with its process, whatever ends that."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path
from typing import Self

from .artifacts import room_for, writable
from .errors import UserError

HELD = ".held"
NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP)  # of a file system that has none


class Alone:
    """The right to write a directory, from `take` to the end of the block; raises UserError where another has it.

    It is a lock on a file beside the directory's `first` one, under a name by which that counts as what a kill left. On
    a file system without locks everybody has the right.
    """

    def __init__(self, out: Path, first: str) -> None:
        self.out, self.path = out, out / f".{first}{HELD}"
        self._lock: int | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._give_up()

    def take(self) -> None:
        """Hold the directory as it is there now: again where it took the place of one that was held."""
        if self._is_held():
            return
        self._give_up()
        while self._lock is None:
            with room_for(writable(self.out)):
                self._lock = os.open(self.path, os.O_CREAT | os.O_RDWR, 0o644)
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                self._close()
                raise UserError(
                    f"another process is at work in {self.out}",
                    "two in one directory would write over each other's runs",
                    "wait for it, or end it and go on with --resume; or give another --out",
                ) from error
            except OSError as error:
                if error.errno not in NO_LOCKS:
                    raise
            if not self._is_held():  # who held it has removed it meanwhile
                self._close()

    def _is_held(self) -> bool:
        """Whether the file that is locked is the one in the directory."""
        if self._lock is None or not self.path.is_file():
            return False
        return os.path.samestat(self.path.stat(), os.fstat(self._lock))

    def _give_up(self) -> None:
        if self._is_held():
            self.path.unlink()
        self._close()

    def _close(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
        self._lock = None


def is_hold(path: Path) -> bool:
    """Whether a file is the lock of a directory that somebody writes."""
    return path.suffix == HELD
