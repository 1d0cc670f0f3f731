"""A TOML file in, checked settings out, of one run or of a grid of them.

Open sections.py first: it says every key and its default; recipe.py reads a recipe, grid.py a grid.
"""

from __future__ import annotations

from .grid import Grid, load_grid
from .recipe import Recipe, load_recipe, read_toml
from .sections import AdapterSettings, GuardSettings, MixtureEntry, OptimSettings, TaskSettings

__all__ = [
    "AdapterSettings",
    "Grid",
    "GuardSettings",
    "MixtureEntry",
    "OptimSettings",
    "Recipe",
    "TaskSettings",
    "load_grid",
    "load_recipe",
    "read_toml",
]
