"""A program that reads standard input and prints: one process a case, all of them split off before the cases arrive."""

from __future__ import annotations

import builtins
import os
import selectors
import signal
import sys
import time
import types
from dataclasses import dataclass
from typing import Any, NoReturn

from .compare import same_output
from .confine import confine

GO = b"\n"  # the first byte of a process's input, kept from the program: its turn has come
LONGEST_OUTPUT = 8 * 2**20  # bytes
SECONDS = 10.0  # a case, from its input to the end of its output
OUT_OF_TIME = "out of time: "  # how a reason begins that tells as much of the machine as of the program
SHOWN = 100  # characters of an output in a reason


@dataclass(frozen=True)
class Run:
    """A process that waits to run the program once: its number, and the ends of its input and output."""

    child: int
    feed: int
    heard: int


def prepare(config: dict[str, Any]) -> Run:
    """Split off one process: it has its input and output, and nothing else that is open."""
    (fed, feed), (heard, hear) = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        hold(config, fed, hear)
    os.close(fed)
    os.close(hear)
    return Run(child, feed, heard)


def hold(config: dict[str, Any], fed: int, hear: int) -> NoReturn:
    """The child: confined, it waits for its turn, then is the program; what it raises ends it as any script."""
    null = os.open(os.devnull, os.O_RDWR)
    for ours, standard in ((fed, 0), (hear, 1), (null, 2)):
        os.dup2(ours, standard)
    os.closerange(3, 4096)
    confine(config)
    if os.read(0, 1) != GO:
        os._exit(0)  # an earlier case decided
    vars(builtins).update(exit=sys.exit, quit=sys.exit)  # as `site` would, which is not there
    module = types.ModuleType("__main__")
    sys.modules["__main__"], sys.argv = module, ["program"]
    exec(compile(config["program"], "<program>", "exec", dont_inherit=True), module.__dict__)
    sys.exit()  # with the program's exit handlers, and its output written


def judged(runs: list[Run], cases: list[list[str]]) -> str:
    """Why the program fails the first case that it fails, or an empty string."""
    for number, (run, (given, wanted)) in enumerate(zip(runs, cases, strict=True), start=1):
        try:
            printed = talk(run, given.encode(errors="surrogatepass"))
        except TimeoutError:
            return f"{OUT_OF_TIME}case {number} takes more than {SECONDS:g} s"
        if printed is None:
            return f"case {number}: it prints more than {LONGEST_OUTPUT} bytes"
        _, status = os.waitpid(run.child, 0)
        code = os.waitstatus_to_exitcode(status)
        if code:
            how = f"left with exit status {code}" if code > 0 else f"was killed by {signal.Signals(-code).name}"
            return f"case {number}: the program {how}"
        text = printed.decode(errors="replace")
        if not same_output(text, wanted):
            return f"case {number}: it prints {text[:SHOWN]!r}, not {wanted[:SHOWN]!r}"
    return ""


def talk(run: Run, given: bytes) -> bytes | None:
    """Give the program its input while it is read, and take what it prints; None where that is too much.

    Raises TimeoutError.
    """
    os.set_blocking(run.feed, False)
    waiting, length = memoryview(GO + given), 0
    parts: list[bytes] = []
    end = time.monotonic() + SECONDS
    with selectors.PollSelector() as ready:
        ready.register(run.feed, selectors.EVENT_WRITE)
        ready.register(run.heard, selectors.EVENT_READ)
        while True:
            events = ready.select(max(0.0, end - time.monotonic()))
            if not events:
                raise TimeoutError
            for key, _ in events:
                if key.fd == run.heard:
                    part = os.read(run.heard, 2**16)
                    if not part:
                        os.close(run.heard)
                        return b"".join(parts)
                    parts.append(part)
                    length += len(part)
                    if length > LONGEST_OUTPUT:
                        return None
                    continue
                try:
                    waiting = waiting[os.write(run.feed, waiting) :]
                except BrokenPipeError:
                    waiting = waiting[:0]  # it does not read to the end
                if not waiting:
                    ready.unregister(run.feed)
                    os.close(run.feed)
