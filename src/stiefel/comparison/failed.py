"""Cells that failed: the reason in words, kept in each one's directory until it is begun again."""

from __future__ import annotations

import errno
import os
import shutil
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from ..artifacts import FAILED, MANIFEST, NO_ROOM, RUNS, NoRoom, error_number, kinds_of, room_for, write_json
from ..errors import UserError
from ..run import finished

AGAIN = "--resume tries it again"
NO_MEMORY = "DefaultCPUAllocator"  # how torch's error begins that is no type of its own


def killed(how: str = "") -> UserError:
    """The error of a cell whose process ended without a word."""
    return UserError(
        f"its process was ended from outside{how}",
        "most often the machine ran out of memory",
        f"{AGAIN}; fewer --jobs leave each run more memory",
    )


def base_failed(error: UserError) -> UserError:
    """The error of a cell whose base could not be measured."""
    return UserError(f"its base could not be measured: {error.what}", error.why, error.instead)


class Book:
    """What becomes of the cells of a comparison in this call."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self.failed: dict[str, UserError] = {}

    def begin(self, name: str) -> None:
        """A cell is about to begin, or to go on."""
        self.failed.pop(name, None)
        begin_again(self.out / RUNS / name)

    def fail(self, name: str, error: UserError) -> None:
        """A cell has failed; raises where not even that can be kept."""
        self.failed[name] = error
        try:
            note_failed(self.out / RUNS / name, error)
        except NoRoom as full:
            raise NoRoom(
                f"{self.out} has no room left: {name} failed ({error.what}), and that cannot be kept either",
                full.why,
                "make room there; --resume goes on with what is not finished",
            ) from full


def note_failed(run: Path, error: UserError) -> None:
    """Keep in a run's directory why it failed."""
    with room_for(run):
        run.mkdir(parents=True, exist_ok=True)
    write_json(run / FAILED, words_of(error))


def words_of(error: UserError) -> dict[str, str]:
    """What failed.json holds."""
    return {"what": error.what, "why": error.why, "instead": error.instead}


def begin_again(run: Path) -> None:
    """Forget why a run failed, and what it left if that was before its first file."""
    (run / FAILED).unlink(missing_ok=True)
    if run.is_dir() and not (run / MANIFEST).is_file() and "run" in kinds_of(run):
        shutil.rmtree(run)


@contextmanager
def in_words() -> Iterator[None]:
    """A block whose errors are all told as a user's are: they travel between processes, and into files."""
    try:
        yield
    except Exception as error:
        raise as_failure(error) from error


@contextmanager
def noted(run: Path) -> Iterator[None]:
    """A block that trains a cell in this process: why it failed is kept in its directory, and raised on."""
    begin_again(run)
    try:
        yield
    except Exception as error:
        if not finished(run):  # it diverged, which is an end
            note_failed(run, as_failure(error))
        raise


def as_failure(error: Exception) -> UserError:
    """What is said of a cell that ended with an error."""
    if isinstance(error, UserError):
        return error
    said = " ".join(str(error).split())
    if (
        isinstance(error, MemoryError | torch.OutOfMemoryError)
        or NO_MEMORY in said
        or error_number(error) == errno.ENOMEM
    ):
        return UserError(
            "it ran out of memory",
            said or "Python had none left",
            f"{AGAIN}; fewer --jobs leave each run more, and with a smaller optim.micro_batch it needs less, which is "
            "another recipe for all runs and wants another --out",
        )
    number = error_number(error)
    if number in NO_ROOM:
        return NoRoom(f"there was no room for what it writes: {said}", os.strerror(number), f"make room there; {AGAIN}")
    return UserError(
        f"{type(error).__name__}: {said}" if said else type(error).__name__,
        "no check foresaw this error:\n" + "".join(traceback.format_exception(error)).rstrip(),
        f"report it with these lines; {AGAIN}",
    )
