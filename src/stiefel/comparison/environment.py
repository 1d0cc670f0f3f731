"""The environment of processes that are started, and the threads that they may use."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")  # read when torch and NumPy are imported


@contextmanager
def environment(**settings: str) -> Iterator[None]:
    """Variables of the environment that processes which are started in the block get."""
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def limits(threads: int) -> dict[str, str]:
    """What keeps a process's libraries to so many threads; of 0, which leaves torch its choice, nothing."""
    return dict.fromkeys(THREADS, str(threads)) if threads else {}
