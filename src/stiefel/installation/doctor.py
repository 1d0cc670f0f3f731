"""Everything that is looked at, in order; nothing that is slow to import is imported, but for torch."""

from __future__ import annotations

from collections.abc import Iterator

from .accelerator import bfloat16, gpus
from .finding import Finding
from .packages import python, required


def examine() -> list[Finding]:
    """What works here, what is absent and what is broken; a few seconds, most of them torch's import.

    Where something is broken without which nothing works, the looking ends there.
    """
    found: list[Finding] = []
    for finding in looks():
        found.append(finding)
        if finding.fatal:
            break
    return found


def looks() -> Iterator[Finding]:
    """One finding after the other; what needs the packages is imported once they are known to be there."""
    yield python()
    yield required()
    yield gpus()
    yield bfloat16()
    from .engines import lm_eval, optuna, ray, reasoning_gym, verl, vllm
    from .isolation import sandbox
    from .machine import cores, memory, threads
    from .places import caches, hub, pages

    for look in (cores, memory, threads, sandbox, hub):
        yield look()
    yield from caches()
    for look in (vllm, ray, reasoning_gym, lm_eval, optuna, verl, pages):
        yield look()
