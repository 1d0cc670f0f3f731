"""The machine's cores and memory."""

from __future__ import annotations

import os
from pathlib import Path

from ..progress import cores as usable_cores
from .finding import Finding

LIMIT = Path("/sys/fs/cgroup/memory.max")  # a container's


def cores() -> Finding:
    """Those that this process may use."""
    there, usable = os.cpu_count() or 1, usable_cores()
    return Finding("cores", "works", f"{usable}" if usable == there else f"{usable} of {there}")


def memory() -> Finding:
    """What there is of it, or as much as a container allows."""
    there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    allowed = LIMIT.read_text().strip() if LIMIT.is_file() else "max"
    size = min(there, int(allowed)) if allowed.isdecimal() else there
    return Finding("memory", "works", f"{size / 2**30:.1f} GiB")


def threads() -> Finding:
    """How many threads torch is told to take."""
    told = os.environ.get("OMP_NUM_THREADS", "")
    if told:
        return Finding("threads", "works", f"OMP_NUM_THREADS={told}")
    advice = "a run on nano is fastest on one: run.threads = 1; so are several runs on one machine"
    return Finding("threads", "works", f"OMP_NUM_THREADS is not set: a process takes all cores; {advice}")
