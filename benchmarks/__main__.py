"""Measurements that take minutes each, one after the other: `python -m benchmarks`, which is `make bench`.

Of README.md the blocks solvers, init and step; what docs/geometry.md says of looking and docs/cluster.md of grids; the
papers' tables on nano; and, where STIEFEL_DATA names the data, the graders of docs/rewards.md. Some three hours on two
cores, 16 GB of disk. Each writes its file in results/ anew.

Left out of README.md are three blocks. `survival` needs environments of its own: `make venv-vllm`, `make smollm2`, then
`.venv-vllm/bin/python -m benchmarks.engine`. `study` is hours: `python -m benchmarks.step` and `python -m
benchmarks.laboratory`, on nano some 14 hours of runs, two of them at a time, on SmolLM2 (`make smollm2-warm`) some ten
minutes and 5.5 GB of memory a run. `demo` is `make demo`, in minutes. docs/numbers.md has these and what other pages
quote row by row: the command, what it leaves, how long it takes.
"""

from __future__ import annotations

import os
import subprocess
import sys

RUN = (
    ("benchmarks.init",),
    ("benchmarks.init", "--seven-b"),
    ("benchmarks.train",),
    ("benchmarks.kills",),
    ("benchmarks.geometry",),
    ("benchmarks.reproduce",),
    ("benchmarks.compare",),
)
WITH_DATA = (("benchmarks.grade",),)  # where STIEFEL_DATA names a directory

if __name__ == "__main__":
    for arguments in (*RUN, *(WITH_DATA if os.environ.get("STIEFEL_DATA") else ())):
        subprocess.run([sys.executable, "-m", *arguments], check=True)
