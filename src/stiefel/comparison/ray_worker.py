"""One cell on a machine of a Ray cluster: a process that runs it, and what there is to tell of it.

Between machines travel paths, TOML and JSON texts, numbers and the bytes of files, and nothing else. Ray pickles them
from one process of ours to another; no object of ours is among them, and nothing is unpickled that came from a file.
This class alone is loaded by Ray's worker, by its name, from the Stiefel that is installed there, and not torch: the
cell has a process of its own, so that its numbers, signals and threads are those of `stiefel train`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from ..artifacts import MANIFEST, SAMPLES
from .held import Held
from .mirror import Piece, Sender, add_piece, last_step
from .place import TRAIN, Place
from .software import software
from .words import LAST_WORDS

PREFIX = "stiefel-cell-"  # of a cell's place
LOOK_SECONDS = 2.0  # between two looks at what has changed of a run
WAIT_SECONDS = 1.0  # that the driver's question waits for an answer
News = list[tuple[str, Any]]


class RayWorker:
    """A cell's place on this machine, and its process; an actor of Ray's, asked by the driver again and again."""

    def __init__(self, name: str) -> None:
        self.held = Held(Path(tempfile.gettempdir()), PREFIX)
        self.place = Place(self.held.directory)
        self.run = self.place.run(name)
        self.child: subprocess.Popen[bytes] | None = None
        self.lines: SimpleQueue[str] = SimpleQueue()
        self.spoken = threading.Event()
        self.sending: Iterator[Piece | list[str]] | None = None
        self.last, self.next_look = False, 0.0

    def hello(self) -> tuple[dict[str, str], str]:
        """What this machine runs the cell with, and where."""
        return software(), str(self.run)

    def receive(self, pieces: Sequence[Piece]) -> None:
        """Take pieces of a run that was begun elsewhere."""
        for piece in pieces:
            add_piece(self.run, piece)

    def begin(self, kind: str, recipe: str, base: str | None, home: str) -> None:
        """Start the cell's process, in the driver's working directory where this machine has it."""
        self.place.recipe.write_text(recipe, encoding="utf-8")
        if base is not None:
            self.place.base.write_text(base, encoding="utf-8")
        self.place.work.mkdir(exist_ok=True)
        self.sender = Sender(self.run, MANIFEST if kind == TRAIN else SAMPLES, self.place.kept)
        self.sender.known()
        self.child = subprocess.Popen(
            [sys.executable, "-m", "stiefel.comparison.cell", kind, str(self.place.directory), self.run.name],
            stdin=subprocess.PIPE,  # never written to: it ends with this process, and the cell with it
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=home if Path(home).is_dir() else self.place.directory,
        )
        self.listener = threading.Thread(target=self.listen, args=(self.child,), daemon=True)
        self.listener.start()

    def listen(self, child: subprocess.Popen[bytes]) -> None:
        """Take what the cell prints, line by line."""
        assert child.stdout is not None
        for line in child.stdout:
            self.lines.put(line.decode(errors="replace").rstrip("\n"))
            self.spoken.set()
        self.spoken.set()

    def news(self) -> News:
        """What there is to tell, within a second: words, the last step, a piece of what changed, the end.

        The pieces of a whole are followed by `("whole", paths)`; after `("ended", ...)` there is nothing more.
        """
        assert self.child is not None
        if self.sending is None:
            self.spoken.wait(WAIT_SECONDS)
            self.spoken.clear()
        over = self.child.poll() is not None
        if over:
            self.listener.join(LAST_WORDS)  # what the cell started may hold its stdout for longer than it lives
        told: News = [("step", last_step(self.run))]
        while not self.lines.empty():
            told.append(("words", self.lines.get()))
        if self.sending is None and (over or time.monotonic() >= self.next_look):
            self.sending, self.last = self.sender.changes(), over
        if self.sending is not None:
            piece = next(self.sending, None)
            if isinstance(piece, list):
                told.append(("whole", piece))
            elif piece is not None:
                told.append(("piece", piece))
            else:
                self.sending, self.next_look = None, time.monotonic() + LOOK_SECONDS
                if self.last:
                    told.append(("ended", (self.child.wait(), self.error())))
        return told

    def error(self) -> list[str] | None:
        """The user's mistake that the cell ended with: what, why, instead."""
        if not self.place.error.is_file():
            return None
        found: list[str] = json.loads(self.place.error.read_text(encoding="utf-8"))
        return found

    def close(self) -> None:
        """End the cell's process, and leave nothing on this machine."""
        if self.child is not None:
            self.child.kill()
            self.child.wait()
        self.held.give_up()


def machine() -> tuple[str, dict[str, str]]:
    """The name of this machine, and what it would run a cell with."""
    return os.uname().nodename, software()
