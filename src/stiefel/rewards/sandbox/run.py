"""One program and its tests, run in a sandbox of a kind, within its limits."""

from __future__ import annotations

import json
import os
import signal
import struct
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from ..grade import OUT_OF_TIME
from .filter import seccomp_filter
from .kinds import ENVIRONMENT, Kind


@dataclass(frozen=True)
class Limits:
    """What one program may use. It is one process of one thread, so these bound it as a whole."""

    cpu_seconds: int = 5
    wall_seconds: float = 15.0  # from the start of the sandbox to the verdict
    case_seconds: float = 2.0  # more of it for each case of standard input
    memory_bytes: int = 512 * 2**20
    file_bytes: int = 8 * 2**20  # one file
    scratch_bytes: int = 16 * 2**20  # all files, in /tmp


@dataclass(frozen=True)
class Job:
    """A program, the definitions that its tests may rely on, the tests, and the name under test ("" to read it off); or
    a program and cases of what it reads and prints.
    """

    program: str
    tests: str
    trusted: str = ""
    entry: str = ""
    cases: tuple[tuple[str, str], ...] = ()  # (standard input, what is to be printed), in place of tests


@dataclass(frozen=True)
class Verdict:
    """Whether the tests passed; None where the tests themselves cannot be run."""

    passed: bool | None
    reason: str


class SandboxError(Exception):
    """The sandbox itself failed: nothing is known of the program."""


def run_job(job: Job, kind: Kind, limits: Limits = Limits()) -> Verdict:
    """The tests' verdict on the program, or a refusal for want of time; nothing of it runs on afterwards.

    Raises SandboxError. Cost: one start of Python and the kernel's namespaces, about 50 ms, beside the program's own.
    """
    bounds = {name: value for name, value in asdict(limits).items() if isinstance(value, int)}
    config = {"program": job.program, "limits": bounds, "filter": seccomp_filter(), "runs": len(job.cases)}
    tests = {"tests": job.tests, "trusted": job.trusted, "entry": job.entry, "cases": job.cases}
    wall = limits.wall_seconds + limits.case_seconds * len(job.cases)
    # the directory is what a program without walls calls its own; the others have their own /tmp
    with tempfile.TemporaryDirectory() as scratch:
        process = subprocess.Popen(
            kind.command(limits.scratch_bytes),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=ENVIRONMENT,
            cwd=scratch,
            start_new_session=True,
        )
        try:
            out, err = process.communicate(frame(config) + frame(tests), timeout=wall)
        except subprocess.TimeoutExpired:
            return Verdict(False, f"{OUT_OF_TIME}no verdict within {wall:g} s")
        finally:
            kill(process)
    if len(out) > 4 and len(out) == 4 + struct.unpack(">I", out[:4])[0]:
        return Verdict(**json.loads(out[4:]))
    if process.returncode in {128 + signal.SIGKILL, -signal.SIGKILL, 128 + signal.SIGXCPU, -signal.SIGXCPU}:
        return Verdict(False, f"{OUT_OF_TIME}the tests used up their CPU time")
    raise SandboxError(f"exit status {process.returncode}: {err.decode(errors='replace')[-2000:]}")


def frame(message: Mapping[str, object]) -> bytes:
    """A message as `inside.wire.receive` reads it."""
    data = json.dumps(message).encode()
    return struct.pack(">I", len(data)) + data


def kill(process: subprocess.Popen[bytes]) -> None:
    """Kill the sandbox's session; what is in its namespaces dies with its first process."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
