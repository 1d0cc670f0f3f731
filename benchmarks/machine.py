"""Where a measurement was made, and how its result is kept."""

from __future__ import annotations

import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from stiefel.artifacts import versions, write_json

RESULTS = Path(__file__).parent / "results"


def device() -> torch.device:
    """The GPU where there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def machine() -> dict[str, Any]:
    """The processor or GPU, its cores and threads, and the versions."""
    name = torch.cuda.get_device_name() if torch.cuda.is_available() else processor()
    return {
        "device": name,
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "versions": versions(),
    }


def processor() -> str:
    """The processor's name, where the system tells it."""
    information = Path("/proc/cpuinfo")
    if information.is_file():
        for line in information.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def seconds(work: Callable[[], object], repeats: int = 1) -> float:
    """The median time of a piece of work, the GPU's queue emptied on both sides."""
    times = []
    for _ in range(repeats):
        synchronize()
        began = time.perf_counter()
        work()
        synchronize()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def synchronize() -> None:
    """Wait for the GPU."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def place(name: str) -> Path:
    """results/NAME.json, NAME-cuda.json on a GPU."""
    return RESULTS / f"{name}{'-cuda' if torch.cuda.is_available() else ''}.json"


def kept(name: str) -> dict[str, Any]:
    """What was kept of an earlier run; nothing where there was none."""
    return json.loads(place(name).read_text()) if place(name).is_file() else {}


def keep(name: str, results: dict[str, Any]) -> Path:
    """Write a result with the machine it was measured on."""
    path = place(name)
    write_json(path, {**results, "machine": machine()})
    print(json.dumps(results, indent=1))
    return path
