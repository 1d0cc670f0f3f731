"""Every measurement that the README quotes: `python -m benchmarks` (three hours on two cores, 16 GB of disk)."""

from __future__ import annotations

import os
import subprocess
import sys

for arguments in (
    ["benchmarks.init"],
    ["benchmarks.init", "--seven-b"],
    ["benchmarks.train"],
    ["benchmarks.kills"],
    ["benchmarks.geometry"],
    ["benchmarks.reproduce"],
    ["benchmarks.compare"],
    *([["benchmarks.grade"]] if os.environ.get("STIEFEL_DATA") else []),
):
    subprocess.run([sys.executable, "-m", *arguments], check=True)
