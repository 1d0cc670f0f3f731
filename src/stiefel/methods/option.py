"""The settings of a method: how they are given, as text or as values, and what they may be."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

from ..errors import UserError, nearest

Value = str | float


@dataclass(frozen=True)
class Option(ABC):
    """A setting of a method, its default and what it chooses."""

    default: Value
    meaning: str

    @abstractmethod
    def parse(self, given: Value, name: str) -> Value:
        """The value that was given, as text from the command line or as itself; one that is not allowed raises."""

    @abstractmethod
    def domain(self) -> dict[str, Any]:
        """The values that are allowed, for JSON."""


@dataclass(frozen=True)
class Choice(Option):
    """One of a few words."""

    default: str
    values: tuple[str, ...]

    def parse(self, given: Value, name: str) -> str:
        """The word, if it is one of the values."""
        if not isinstance(given, str) or given not in self.values:
            raise UserError(
                f"{name} = {given!r} is not a value of this option", self.meaning, nearest(str(given), self.values)
            )
        return given

    def domain(self) -> dict[str, Any]:
        """{"values": [...]}."""
        return {"values": list(self.values)}


@dataclass(frozen=True)
class Fraction(Option):
    """A number strictly between 0 and 1."""

    default: float

    def parse(self, given: Value, name: str) -> float:
        """The number, if it is one and lies in (0, 1)."""
        try:
            value = float(given)
        except (TypeError, ValueError):
            value = 0.0
        if isinstance(given, bool) or not 0 < value < 1:  # a NaN is not in the range either
            raise UserError(
                f"{name} = {given!r} is out of range",
                f"{self.meaning}: it must be a number above 0 and below 1",
                f"give one in that range, such as {name} = {self.default}",
            )
        return value

    def domain(self) -> dict[str, Any]:
        """{"above": 0, "below": 1}, both exclusive."""
        return {"above": 0, "below": 1}
