"""Every nano profile of the papers' tables and figures: `python -m benchmarks.reproduce [NAME …] [--out DIR]`.

Each by the command that docs/reproduce.md gives, in a process of its own; how long it took, what it scored, and whether
the published order of methods came out. About an hour on two cores. The results of names that are left out are kept.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.machine import keep, kept
from stiefel.artifacts import REPRODUCTION, read_json
from stiefel.reproduction import entries


def reproduced(name: str, out: Path) -> dict[str, Any]:
    """One name: seconds, runs that did not finish, our scores, and the order."""
    began = time.perf_counter()
    command = [sys.executable, "-m", "stiefel", "reproduce", name, "--profile", "nano", "--out", str(out)]
    subprocess.run(command, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    seconds = time.perf_counter() - began
    record = read_json(out / REPRODUCTION)
    own = {f"{one['of']}, {one['figure']}": one["ours"]["mean"] for one in record["own"] if one["ours"]}
    return {"seconds": round(seconds), "unfinished": record["unfinished"], "own": own, "order": record["order"]}


def main() -> None:
    """All names, or those that are given."""
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*", default=list(entries()))
    parser.add_argument("--out", type=Path, help="Keep the runs there.")
    asked = parser.parse_args()
    found = kept("reproduce").get("names", {})
    with tempfile.TemporaryDirectory() as scratch:
        for name in asked.names:
            found[name] = reproduced(name, (asked.out or Path(scratch)) / name.replace("/", "-"))
            keep("reproduce", {"names": {one: found[one] for one in entries() if one in found}})


if __name__ == "__main__":
    main()
