"""verl beside a TRL that is newer than it knows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from verl.models.transformers import monkey_patch


@contextmanager
def without_trl() -> Iterator[None]:
    """A block in which verl takes TRL for missing.

    Where TRL is installed verl gives its model with a value head another `state_dict`; TRL 1.16 has no such model, and
    every engine would fail to build. Policies have no value head.
    """
    known = monkey_patch.is_trl_available
    monkey_patch.is_trl_available = lambda: False
    try:
        yield
    finally:
        monkey_patch.is_trl_available = known
