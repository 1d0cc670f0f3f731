"""How many cells run at once on this machine."""

from __future__ import annotations

from collections.abc import Iterable

import torch

from ..progress import cores
from ..recipe import Recipe


def jobs_that_fit(recipes: Iterable[Recipe]) -> int:
    """As many as the cores have room for by the cells' threads; 1 on a GPU, which they would share.

    Where `run.threads` is 0 torch takes every core. What a cell needs of memory is not known.
    """
    return 1 if torch.cuda.is_available() else max(1, cores() // most_threads(recipes))


def most_threads(recipes: Iterable[Recipe]) -> int:
    """The threads of the cell that has the most."""
    return max((recipe.run.threads or cores() for recipe in recipes), default=1)


def crowded(recipes: Iterable[Recipe], jobs: int) -> str:
    """A line that says that cells at once have more threads than there are cores; empty where they have not."""
    threads = most_threads(recipes)
    if jobs == 1 or jobs * threads <= cores():
        return ""
    return (
        f"note: {jobs} runs at a time on {threads} threads each share {cores()} cores, and slow each other down: "
        "a smaller --jobs or run.threads"
    )
