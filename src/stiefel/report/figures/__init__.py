"""The papers' figures: from a directory's runs to charts and captions."""

from __future__ import annotations

from .drawing import Drawing, Figure, Missing
from .files import write_figures
from .registry import FIGURES

__all__ = ["FIGURES", "Drawing", "Figure", "Missing", "write_figures"]
