"""`stiefel …` as one process of a launch in which one alone has something wrong: what it is, then words.

`NAME=VALUE` is set in the last one's environment; `forgets` lets the first ask the server for an adapter that it has
not, as after a restart, from the second sync on.
"""

from __future__ import annotations

import os
import sys
from typing import Any

from stiefel.cli import main
from stiefel.engine import Served


def forget() -> None:
    """Name another adapter than the one that was sent."""
    real = Served.play

    def play(self: Served, write: Any) -> None:
        real(self, write)
        if self.number == 2:
            self.client.model = "stiefel-forgotten"

    Served.play = play  # type: ignore[method-assign]


if __name__ == "__main__":
    name, equals, value = sys.argv[1].partition("=")
    if not equals and os.environ["RANK"] == "0":
        forget()
    if equals and os.environ["RANK"] == str(int(os.environ["WORLD_SIZE"]) - 1):
        os.environ[name] = value
    main(sys.argv[2:])
