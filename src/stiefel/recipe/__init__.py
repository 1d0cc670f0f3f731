"""A TOML file in, checked settings out, of one run or of a grid of them.

Open sections.py first: it says every key and its default; recipe.py reads a recipe, grid.py a grid.
"""

from __future__ import annotations

from .expected import AVERAGE, BASE, Published, methods_named, numbers, tasks_named
from .former import as_begun, as_today
from .grid import TUNED, Grid, load_grid, run_name
from .launched import LAUNCHED, left_to_launch
from .measured import UNTRAINED, MeasureSettings
from .recipe import Recipe, by_key, is_grid, load_recipe, overlay, parse_value, profiles_of, read_toml, usual_recipe
from .sections import (
    AdapterSettings,
    ClusterSettings,
    ExpectedSettings,
    GuardSettings,
    MixtureEntry,
    OptimSettings,
    TaskSettings,
)

__all__ = [
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
    "MeasureSettings",
    "MixtureEntry",
    "OptimSettings",
    "Published",
    "Recipe",
    "TaskSettings",
    "as_begun",
    "as_today",
    "by_key",
    "is_grid",
    "left_to_launch",
    "load_grid",
    "load_recipe",
    "methods_named",
    "numbers",
    "overlay",
    "parse_value",
    "profiles_of",
    "read_toml",
    "run_name",
    "tasks_named",
    "usual_recipe",
]
