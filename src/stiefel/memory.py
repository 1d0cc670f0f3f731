"""How much memory was used."""

from __future__ import annotations

import ctypes
import platform
import resource
import sys
from contextlib import suppress
from pathlib import Path

import torch

M_MMAP_THRESHOLD = -3  # of glibc's malloc.h


def peak_memory_bytes() -> int:
    """Peak of the accelerator's memory where there is one, else of the process's resident memory."""
    return torch.cuda.max_memory_allocated() if torch.cuda.is_available() else peak_resident_bytes()


def forget_peak() -> None:
    """Count the peaks anew, for a process that does one thing after another.

    The accelerator's, and the process's where Linux lets it; elsewhere that one stays the largest since it began.
    """
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    with suppress(OSError):  # no Linux, or a container that forbids it
        Path("/proc/self/clear_refs").write_text("5")


def free_at_once() -> None:
    """Let the C library give every block of a megabyte or more back to the system as soon as it is freed.

    glibc raises that bound to 32 MB by itself once such blocks were freed; masks of large matrices lie below
    it, and what is between them stays resident. Elsewhere nothing is done.
    """
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, 2**20)


def peak_resident_bytes() -> int:
    """Peak resident memory of this process since it began to run its program."""
    status = Path("/proc/self/status")
    if status.is_file():  # Linux; there ru_maxrss starts from what the parent process held when it forked
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
