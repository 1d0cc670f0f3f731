"""[measure] of a grid: what was published of its runs beside scores by method."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from .sections import FiniteFloat, Section

Kind = Literal["start-norm", "init-cost", "efficiency", "spectra", "scores"]
UNTRAINED = ("start-norm", "init-cost")  # kinds for which nothing is trained


class MeasureSettings(Section):
    """[measure]"""

    kind: Kind
    """What is measured: `start-norm` and `init-cost` of starts alone, the others of trained runs."""
    source: str = ""
    """Where the numbers come from."""
    published: dict[str, dict[str, FiniteFloat]] = Field({})
    """Of a method, a model or a run, as `kind` has it: figure → number."""
