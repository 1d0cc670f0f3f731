"""What is found of one thing that is looked at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["works", "absent", "broken"]


@dataclass(frozen=True)
class Finding:
    """A thing's name, how it stands, what of it was found, and what to do where it does not work.

    What is `required` and broken keeps Stiefel from working at all; without the rest it does less.
    """

    name: str
    state: State
    found: str
    instead: str = ""
    required: bool = False

    @property
    def fatal(self) -> bool:
        """Whether nothing works without it."""
        return self.required and self.state != "works"
