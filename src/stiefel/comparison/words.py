"""What worker processes print → whole lines in this process, where a bar may be drawn."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection

PIECE = 1 << 16
LAST_WORDS = 5.0  # seconds for the lines of workers that have ended


@contextmanager
def words_of_workers(say: Callable[[str], None]) -> Iterator[Connection]:
    """The end of a pipe for `speak_into`; each line that a worker writes there is said here, in one piece.

    Two processes that write to one terminal write into each other's lines, and into the bars.
    """
    ours, theirs = multiprocessing.Pipe(duplex=False)

    def listen() -> None:
        rest = b""
        while piece := os.read(ours.fileno(), PIECE):
            *lines, rest = (rest + piece).split(b"\n")
            for line in lines:
                say(line.decode(errors="replace"))
        if rest:
            say(rest.decode(errors="replace"))

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    try:
        yield theirs
    finally:
        theirs.close()  # with the workers' copies gone, the listener reads the end
        listener.join(LAST_WORDS)


def speak_into(pipe: Connection) -> None:
    """In a worker: let all that it, its libraries and the user's code print go there."""
    for standard in (1, 2):
        os.dup2(pipe.fileno(), standard)
    pipe.close()
