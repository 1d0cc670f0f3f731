"""The settings of a method: how they are given, as text or as values, and what they may be."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..errors import UserError, in_words, nearest

Value = str | int | float


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
        return number(self, given, name, lambda value: 0 < value < 1, "a number, above 0 and below 1")

    def domain(self) -> dict[str, Any]:
        """{"above": 0, "below": 1}, both exclusive."""
        return {"above": 0, "below": 1}


@dataclass(frozen=True)
class Share(Option):
    """A number from 0 to below 1."""

    default: float

    def parse(self, given: Value, name: str) -> float:
        """The number, if it is one and lies in [0, 1)."""
        return number(self, given, name, lambda value: 0 <= value < 1, "a number, at least 0 and below 1")

    def domain(self) -> dict[str, Any]:
        """{"least": 0, "below": 1}."""
        return {"least": 0, "below": 1}


@dataclass(frozen=True)
class Positive(Option):
    """A finite number above 0."""

    default: float

    def parse(self, given: Value, name: str) -> float:
        """The number, if it is one and above 0."""
        return number(self, given, name, lambda value: 0 < value < math.inf, "a number, above 0 and finite")

    def domain(self) -> dict[str, Any]:
        """{"above": 0}."""
        return {"above": 0}


@dataclass(frozen=True)
class Whole(Option):
    """A whole number that is not below `least`."""

    default: int
    least: int = 0

    def parse(self, given: Value, name: str) -> int:
        """The number, if it is whole and large enough."""
        bound = f"a whole number, at least {self.least}"
        return int(number(self, given, name, lambda value: value >= self.least and value % 1 == 0, bound))

    def domain(self) -> dict[str, Any]:
        """{"least": …, "whole": true}."""
        return {"least": self.least, "whole": True}


@dataclass(frozen=True)
class Names(Option):
    """Names of modules, separated by commas."""

    default: str

    def parse(self, given: Value, name: str) -> str:
        """The names without the spaces between them."""
        if not isinstance(given, str) or not all(word.strip() for word in given.split(",")):
            raise UserError(
                f"{name} = {given!r} names no modules", self.meaning, f"names separated by commas, or {self.default!r}"
            )
        return ",".join(word.strip() for word in given.split(","))

    def domain(self) -> dict[str, Any]:
        """{"names": true}."""
        return {"names": True}


def number(option: Option, given: Value, name: str, holds: Callable[[float], bool], bound: str) -> float:
    """The number that was given, if `holds` says that it is allowed."""
    instead = f"give one in that range, such as {name} = {option.default}"
    if not is_number(given):
        why = f"{option.meaning}: it must be {bound}, and {in_words(given)} was given"
        raise UserError(f"{name} = {given!r} is no number", why, instead)
    value = float(given)
    if not math.isfinite(value) or not holds(value):
        raise UserError(f"{name} = {given!r} is out of range", f"{option.meaning}: it must be {bound}", instead)
    return value


def is_number(given: Value) -> bool:
    """Whether a value, or the text of one, is a number of any size."""
    try:
        float(given)
    except (TypeError, ValueError):
        return False
    return not isinstance(given, bool)
