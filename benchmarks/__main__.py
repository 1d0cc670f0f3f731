"""Every measurement that the README quotes: `python -m benchmarks` (half an hour on two cores, 16 GB of disk)."""

from __future__ import annotations

import subprocess
import sys

for arguments in (["benchmarks.solvers"], ["benchmarks.init"], ["benchmarks.init", "--seven-b"]):
    subprocess.run([sys.executable, "-m", *arguments], check=True)
