"""A run directory on one machine → the same directory on another, in pieces, while the run goes on.

Nothing of torch is imported here: it is what a worker's own process loads, beside the run.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ..artifacts import BASES, CHECKPOINTS, METRICS, RUNS, STATE

OLD = "old"  # where a run stands while its successor takes its place
PIECE = 1 << 22  # bytes that travel at once
Piece = tuple[str, bytes]  # a file's path in the directory, and bytes to add to its end
Mark = tuple[int, int, int]  # of a file's content: its inode, its size, when it was written


def last_row(run: Path) -> dict[str, Any]:
    """The last row of a run's metrics; empty where there is none yet."""
    path = run / METRICS
    last = path.read_bytes().splitlines()[-1:] if path.is_file() else []
    try:
        found: dict[str, Any] = json.loads(last[0]) if last else {}
    except json.JSONDecodeError:  # read while it is being written
        return {}
    return found


def last_step(run: Path) -> int:
    """The step of the last row of a run's metrics; 0 where there is none yet."""
    return int(last_row(run).get("step", 0))


def files_in(directory: Path) -> list[str]:
    """The paths of a directory's files, but for what is being written or removed there under a name with a dot."""
    found = []
    for place, folders, names in os.walk(directory):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [str(Path(place, name).relative_to(directory)) for name in names if not name.startswith(".")]
    return sorted(found, key=order)


def order(path: str) -> tuple[bool, bool, str]:
    """Checkpoints first, each one's state last: the journals are then at least as long as the checkpoint says.

    A checkpoint whose state could be kept was whole: where one is removed, its state goes first.
    """
    return not path.startswith(f"{CHECKPOINTS}/"), path.endswith(f"/{STATE}"), path


def pieces_of(directory: Path, paths: Sequence[str]) -> Iterator[Piece]:
    """The content of files; of an empty one an empty piece."""
    for path in paths:
        with (directory / path).open("rb") as file:
            piece = file.read(PIECE)
            yield path, piece
            while piece := file.read(PIECE):
                yield path, piece


def add_piece(directory: Path, piece: Piece) -> None:
    """The reverse of `pieces_of`, a piece at a time."""
    path = directory / piece[0]
    assert path.resolve().is_relative_to(directory.resolve()), piece[0]
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        file.write(piece[1])


class Sender:
    """What has changed of a run directory since it was last sent.

    A file is kept by a link while it travels, so that a run which removes its old checkpoints meanwhile takes nothing
    away; the files of a run are written whole and renamed, or grow at their end.
    """

    def __init__(self, run: Path, first: str, keep: Path) -> None:
        """`first` is the file without which there is nothing to send; `keep` is a directory of the sender's own."""
        self.run, self.first, self.keep = run, first, keep
        self.sent: dict[str, Mark] = {}

    def known(self) -> None:
        """Take what is there for sent: it came from where the rest will go."""
        self.sent = {path: mark(self.run / path) for path in files_in(self.run)}

    def changes(self) -> Iterator[Piece | list[str]]:
        """The pieces of changed files, then the paths of all; nothing where all is as it was, or it cannot be told."""
        paths = files_in(self.run)
        shutil.rmtree(self.keep, ignore_errors=True)
        try:
            marks = {path: kept(self.run / path, self.keep / path) for path in paths}
        except FileNotFoundError:  # removed by the run meanwhile: the next look sees what took its place
            return
        if marks == self.sent or self.first not in marks:
            return
        yield from pieces_of(self.keep, [path for path in paths if marks[path] != self.sent.get(path)])
        self.sent = marks
        yield paths


def mark(path: Path) -> Mark:
    """What tells a file's content from its content before."""
    found = path.stat()
    return found.st_ino, found.st_size, found.st_mtime_ns


def kept(path: Path, place: Path) -> Mark:
    """Keep a file under a second name; a journal, which grows, by its content so far."""
    before = mark(path)  # first: what is added meanwhile is seen at the next look
    if path.suffix == ".jsonl":
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, place)
    else:
        under_a_second_name(path, place)
    return before


def under_a_second_name(path: Path, place: Path) -> None:
    """A link to a file, or a copy where the file system has no links."""
    place.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(path, place)
    except PermissionError:
        shutil.copy2(path, place)


class Receiver:
    """Pieces of a directory on their way, and the directory that they replace when all are there.

    What is on its way lies in `out`, under a name by which a comparison knows it for what a kill left.
    """

    def __init__(self, run: Path, out: Path) -> None:
        self.run = run
        self.place = Path(tempfile.mkdtemp(dir=out, prefix=f".{RUNS}."))
        self.fresh, self.old = self.place / "fresh", self.place / OLD / run.name

    def add(self, piece: Piece) -> None:
        """One piece more."""
        add_piece(self.fresh, piece)

    def whole(self, paths: Sequence[str]) -> None:
        """Put the directory of these files in place: fresh ones, the others as they are there already."""
        for path in paths:
            if not (self.fresh / path).is_file():
                under_a_second_name(self.run / path, self.fresh / path)
        if self.run.is_dir():
            self.old.parent.mkdir(exist_ok=True)
            self.run.rename(self.old)
        self.fresh.rename(self.run)
        shutil.rmtree(self.place / OLD, ignore_errors=True)

    def close(self) -> None:
        """Remove what did not arrive whole."""
        shutil.rmtree(self.place, ignore_errors=True)


def sweep(out: Path) -> None:
    """Remove what a killed process was receiving; a run that it had moved aside goes back to its place."""
    for place in (out / BASES).glob(".*"):
        if place.is_dir():
            shutil.rmtree(place)
    for place in out.glob(f".{RUNS}.*"):
        for old in (place / OLD).glob("*"):
            if not (out / RUNS / old.name).exists():
                old.rename(out / RUNS / old.name)
        shutil.rmtree(place)
