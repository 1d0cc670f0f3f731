"""How a process ends that is one of several."""

from __future__ import annotations

import atexit
import os
import sys
from typing import NoReturn

import torch


def end(status: int) -> NoReturn:
    """End this process of a launch, where nothing is still to be sent, without taking its interpreter apart.

    Gloo's threads let go of Python's tensors after the last collective. One that does so while the interpreter ends
    aborts the process, and the launcher then ends a finished run as a failed one (pytorch #179291). To destroy the
    group joins them only where nothing else holds it, and torch's own caches of meshes do. What is registered for the
    exit, such as a tracker's last words, is done.
    """
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(status)
