"""rates.json of a comparison: by which rule every method got its learning rate."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, TypeAdapter

from ..artifacts import RATES, read_json
from .checking import checked


class OwnRate(BaseModel):
    """The rate that the rule gave a run, and what was measured at it."""

    model_config = ConfigDict(frozen=True)

    lr: float
    kl: float | None = None
    step: float | None = None
    reached: bool = True


class RateRule(BaseModel):
    """What is the same at every method's rate: a KL, the size of a step, or that a validation chose it."""

    model_config = ConfigDict(frozen=True)

    rate: Literal["kl", "matched-step", "tuned"]
    budget: float | None = None
    reference: str | None = None
    runs: dict[str, OwnRate] = {}
    validation: dict[str, float] = {}
    chosen: tuple[str, ...] = ()

    @property
    def matched(self) -> bool:
        """Whether each method has the one rate that the rule gave it."""
        return not self.tuned

    @property
    def tuned(self) -> bool:
        """Whether a validation chose the rates, so that the chosen runs alone have a test."""
        return self.rate == "tuned"


def read_rate_rule(directory: Path) -> RateRule | None:
    """The rule of a comparison; None where the grid listed its rates."""
    path = directory / RATES
    return checked(TypeAdapter(RateRule), read_json(path), path) if path.is_file() else None
