"""Threads by what pays: one for a step, torch's own number for independent pieces of large products.

A step on a matrix of a few hundred columns takes milliseconds, in which OpenMP's threads mostly wait for each other;
on a busy machine the solver is 20 times slower with two of them than with one. And BLAS and LAPACK round by their
number of threads: pieces that are fixed by the matrix alone, each worked on by one thread, give the same bits always.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TypeVar

import torch

Part = TypeVar("Part")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Crew:
    """The threads that torch had when the block began, and the pool that works on pieces; None of one thread."""

    threads: int
    pool: ThreadPoolExecutor | None


_crew: ContextVar[Crew | None] = ContextVar("crew", default=None)


@contextmanager
def one_thread() -> Iterator[None]:
    """One thread for each operation of torch inside the block, as many as there were for `each`; then as before."""
    if _crew.get() is not None:
        yield
        return
    threads = torch.get_num_threads()
    pool = ThreadPoolExecutor(threads, "stiefel-solver") if threads > 1 else None  # threads start when work comes
    token = _crew.set(Crew(threads, pool))
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        _crew.reset(token)
        if pool is not None:
            pool.shutdown()


@contextmanager
def all_threads() -> Iterator[None]:
    """Inside `one_thread`, torch's own number again, for what is large and cannot be cut into pieces."""
    crew = _crew.get()
    if crew is None:
        yield
        return
    torch.set_num_threads(crew.threads)
    try:
        yield
    finally:
        torch.set_num_threads(1)


def each(work: Callable[[Part], Result], parts: Sequence[Part], *, pays: bool = True) -> list[Result]:
    """The work on every part, in the parts' order; at once where that pays and `one_thread` left threads to spare."""
    crew = _crew.get()
    if crew is None or crew.pool is None or len(parts) < 2 or not pays:
        return [work(part) for part in parts]
    return list(crew.pool.map(work, parts))
