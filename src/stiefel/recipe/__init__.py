"""A TOML file in, checked settings out, of one run or of a grid of them.

Open sections.py first: it says every key and its default; recipe.py reads a recipe, grid.py a grid.
"""

from __future__ import annotations

from .changes import parse_value
from .expected import AVERAGE, BASE, Published, methods_named, numbers, tasks_named
from .former import as_begun, as_today
from .grid import TUNED, Grid, load_grid, profile_names, run_name
from .launched import LAUNCHED, left_to_launch
from .measured import UNTRAINED, MeasureSettings
from .read import read_toml
from .recipe import (
    ALGORITHMS,
    Recipe,
    by_key,
    is_grid,
    load_recipe,
    make_recipe,
    overlay,
    profiles_of,
    usual_recipe,
)
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
    "TUNED",
    "UNTRAINED",
    "AdapterSettings",
    "ClusterSettings",
    "ExpectedSettings",
    "Grid",
    "GuardSettings",
    "Key",
    "MeasureSettings",
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
    "is_grid",
    "left_to_launch",
    "load_grid",
    "load_recipe",
    "make_recipe",
    "methods_named",
    "numbers",
    "overlay",
    "parse_value",
    "profile_names",
    "profiles_of",
    "read_toml",
    "recipe_keys",
    "run_name",
    "sections",
    "starting_grid",
    "starting_recipe",
    "tasks_named",
    "usual_recipe",
]
