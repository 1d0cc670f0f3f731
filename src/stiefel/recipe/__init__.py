"""A TOML file in, checked settings out, of one run or of a grid of them.

Open sections.py first: it says every key and its default; recipe.py reads a recipe, grid.py a grid.
"""

from __future__ import annotations

from .expected import AVERAGE, BASE, Published, methods_named, numbers, tasks_named
from .former import as_begun, as_today
from .grid import Grid, load_grid, profile_names
from .launched import LAUNCHED, left_to_launch
from .recipe import ALGORITHMS, Recipe, by_key, load_recipe, make_recipe, overlay, parse_value, read_toml, usual_recipe
from .reference import Key, as_change, find_keys, grid_keys, recipe_keys, sections
from .sections import (
    AdapterSettings,
    ClusterSettings,
    ExpectedSettings,
    GuardSettings,
    MixtureEntry,
    OptimSettings,
    TaskSettings,
)
from .starting import Wish, starting_grid, starting_recipe

__all__ = [
    "ALGORITHMS",
    "AVERAGE",
    "BASE",
    "LAUNCHED",
    "AdapterSettings",
    "ClusterSettings",
    "ExpectedSettings",
    "Grid",
    "GuardSettings",
    "Key",
    "MixtureEntry",
    "OptimSettings",
    "Published",
    "Recipe",
    "TaskSettings",
    "Wish",
    "as_begun",
    "as_change",
    "as_today",
    "by_key",
    "find_keys",
    "grid_keys",
    "left_to_launch",
    "load_grid",
    "load_recipe",
    "make_recipe",
    "methods_named",
    "numbers",
    "overlay",
    "parse_value",
    "profile_names",
    "read_toml",
    "recipe_keys",
    "sections",
    "starting_grid",
    "starting_recipe",
    "tasks_named",
    "usual_recipe",
]
