"""The last steps before foreign code runs in this process: no capabilities, limits, and a filter on system calls."""

from __future__ import annotations

import base64
import ctypes
import os
import resource
from typing import Any

PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS = 1, 4, 22, 38  # linux/prctl.h
SECCOMP_MODE_FILTER = 2
CAPABILITY_VERSION_3 = 0x20080522  # linux/capability.h
INSTRUCTION_BYTES = 8  # struct sock_filter

libc = ctypes.CDLL(None, use_errno=True)


def checked(result: int, what: str) -> int:
    """The result of a C call; raises OSError where it is negative."""
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def prctl(option: int, value: int = 0, pointer: Any = None) -> None:
    """Set an option of this process."""
    zero = ctypes.c_ulong(0)
    checked(libc.prctl(option, ctypes.c_ulong(value), pointer or zero, zero, zero), f"prctl {option}")


def hide() -> None:
    """Nobody of the same user may read or trace this process, or take its open files."""
    prctl(PR_SET_DUMPABLE, 0)


class SockFprog(ctypes.Structure):
    """struct sock_fprog."""

    _fields_ = (("len", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def drop_capabilities() -> None:
    """No capability is left, and no program can bring one back."""
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    checked(libc.capset(header, (ctypes.c_uint32 * 6)()), "capset")
    prctl(PR_SET_NO_NEW_PRIVS, 1)


def limit(limits: dict[str, int]) -> None:
    """CPU seconds, bytes of address space, bytes of a file; no core dumps, few open files."""
    cpu = limits["cpu_seconds"]
    resource.setrlimit(resource.RLIMIT_CPU, (cpu, cpu + 1))  # SIGXCPU, and SIGKILL for those who ignore it
    resource.setrlimit(resource.RLIMIT_AS, (limits["memory_bytes"],) * 2)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limits["file_bytes"],) * 2)
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def filter_calls(program: str) -> None:
    """Install a seccomp filter, given as base64 of its instructions."""
    instructions = base64.b64decode(program)
    fprog = SockFprog(len(instructions) // INSTRUCTION_BYTES, instructions)
    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(fprog))


def confine(config: dict[str, Any]) -> None:
    """Everything above, in the only order that works: the filter comes last."""
    drop_capabilities()
    limit(config["limits"])
    filter_calls(config["filter"])
