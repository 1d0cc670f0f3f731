"""A TOML file in, checked settings out, of one run or of a grid of them.

Open sections.py first: it says every key and its default; recipe.py reads a recipe, grid.py a grid.
"""

from __future__ import annotations

from .former import as_begun, as_today
from .grid import Grid, load_grid
from .recipe import Recipe, load_recipe, overlay, read_toml, usual_recipe
from .sections import AdapterSettings, GuardSettings, OptimSettings, TaskSettings

__all__ = [
    "AdapterSettings",
    "Grid",
    "GuardSettings",
    "OptimSettings",
    "Recipe",
    "TaskSettings",
    "as_begun",
    "as_today",
    "load_grid",
    "load_recipe",
    "overlay",
    "read_toml",
    "usual_recipe",
]
