"""The sandboxed process that makes reasoning-gym's rows and scores answers: started once, asked often."""

from __future__ import annotations

import atexit
import os
import selectors
import signal
import subprocess
import tempfile
import threading
from functools import cache
from typing import Any

from ..sandbox import Limits, SandboxError, find_sandbox
from ..sandbox.filter import seccomp_filter
from ..sandbox.inside.wire import Closed, receive, send
from ..sandbox.kinds import ENVIRONMENT
from .package import places

START_SECONDS = 120.0  # to import the package, on a machine that swaps
GRACE_SECONDS = 30.0  # after a scorer's own time, to start processes on a busy machine
SCRATCH_BYTES = 2**20
LIMITS = Limits(cpu_seconds=5, wall_seconds=15.0, memory_bytes=2**30, file_bytes=0)  # of one answer
QUIET = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MPLCONFIGDIR": "/tmp"}


class GymProcess:
    """A process in the sandbox that was found to hold here; raises UserError where none does."""

    def __init__(self, limits: Limits = LIMITS) -> None:
        self.limits = limits
        self.scratch = tempfile.TemporaryDirectory()
        self.errors = tempfile.TemporaryFile()  # noqa: SIM115  lives as long as the process
        self.process = subprocess.Popen(
            find_sandbox().command(SCRATCH_BYTES, places(), "gym"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            env=ENVIRONMENT | QUIET,
            cwd=self.scratch.name,
            start_new_session=True,
        )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.requests, self.replies = self.process.stdin.fileno(), self.process.stdout.fileno()
        bounds = {"cpu_seconds": limits.cpu_seconds, "memory_bytes": limits.memory_bytes, "file_bytes": 0}
        width = max(1, min(os.cpu_count() or 1, 8))
        config = {"paths": places(), "limits": bounds, "filter": seccomp_filter()}
        self.say({**config, "seconds": limits.wall_seconds, "width": width})
        self.hear(START_SECONDS)

    def say(self, message: dict[str, Any]) -> None:
        """Send a request."""
        try:
            send(self.requests, message)
        except Closed as error:
            raise self.broken(str(error)) from error

    def hear(self, seconds: float) -> Any:
        """The next reply; raises SandboxError, and ends the process, where there is none within these seconds."""
        with selectors.DefaultSelector() as selector:
            selector.register(self.replies, selectors.EVENT_READ)
            if not selector.select(seconds):
                raise self.broken(f"no reply within {seconds:g} s")
        try:
            return receive(self.replies)
        except Closed as error:
            raise self.broken(str(error)) from error

    def broken(self, what: str) -> SandboxError:
        """The error of a process that failed, which is ended."""
        words = self.close()
        return SandboxError(f"the process of reasoning-gym: {what}: {words}")

    @property
    def alive(self) -> bool:
        """Whether it can be asked."""
        return self.process.poll() is None

    def close(self) -> str:
        """End it; what it last wrote to its standard error."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.communicate()
        if self.errors.closed:
            return ""
        self.errors.seek(0)
        text = self.errors.read().decode(errors="replace")[-2000:]
        self.errors.close()
        self.scratch.cleanup()
        return text


class Kept:
    """The process of this process, started when first asked for and again where it has ended."""

    def __init__(self) -> None:
        self.lock = threading.RLock()  # one conversation at a time
        self.process: GymProcess | None = None

    def get(self) -> GymProcess:
        """It, alive."""
        if self.process is None or not self.process.alive:
            self.close()
            self.process = GymProcess()
        return self.process

    def close(self) -> None:
        """End it."""
        if self.process is not None:
            self.process.close()
            self.process = None


@cache
def kept(process: int) -> Kept:
    """That of a process of ours; a fork gets one of its own."""
    found = Kept()
    atexit.register(found.close)
    return found


def keeper() -> Kept:
    """That of this process."""
    return kept(os.getpid())
