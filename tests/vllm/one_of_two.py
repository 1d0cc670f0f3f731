"""`stiefel …` as one process of a launch in which one alone has something wrong: what it is, then words.

`NAME=VALUE` is set in the last one's environment. `forgets` lets the first ask the server for an adapter that it has
not, as after a restart, from the second sync on. `breaks` lets the last one's engine fail in its second rollout.
"""

from __future__ import annotations

import os
import sys
from typing import Any

from stiefel.cli import main
from stiefel.engine import Colocated, Served


def forget() -> None:
    """Name another adapter than the one that was sent."""
    real = Served.play

    def play(self: Served, write: Any) -> None:
        real(self, write)
        if self.number == 2:
            self.client.model = "stiefel-forgotten"

    Served.play = play  # type: ignore[method-assign]


def fail() -> None:
    """Raise what an engine raises, once the adapter has moved."""
    real = Colocated.generate

    def generate(self: Colocated, *args: Any, **kwargs: Any) -> Any:
        if self.adapter.lora_int_id == 2:
            raise RuntimeError("out of memory")
        return real(self, *args, **kwargs)

    Colocated.generate = generate  # type: ignore[method-assign]


if __name__ == "__main__":
    what, last = sys.argv[1], os.environ["RANK"] == str(int(os.environ["WORLD_SIZE"]) - 1)
    if what == "forgets" and os.environ["RANK"] == "0":
        forget()
    elif what == "breaks" and last:
        fail()
    elif "=" in what and last:
        name, _, value = what.partition("=")
        os.environ[name] = value
    main(sys.argv[2:])
