"""What a run was computed on, in the words of the machine itself."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import torch
from accelerate import PartialState

CPUINFO = Path("/proc/cpuinfo")
NAMES = ("model name", "Model", "Hardware")  # of x86, and of ARM's boards


def hardware() -> dict[str, str]:
    """The processor, and the accelerators where there are any; without the machine's own name."""
    found = {"processor": f"{processor()}, {os.cpu_count()} cores"}
    if torch.cuda.is_available():
        found["accelerator"] = f"{PartialState().num_processes} × {torch.cuda.get_device_name()}"
    return found


def processor() -> str:
    """Its name, or its kind where the system does not tell."""
    lines = CPUINFO.read_text(encoding="utf-8").splitlines() if CPUINFO.is_file() else []
    fields = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    found = [fields[name] for name in NAMES if fields.get(name)]
    return found[0] if found else platform.processor() or platform.machine()
