"""A grid: one recipe, and the axes along which it varies."""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import UserError, nearest
from .recipe import Recipe, keys, make_recipe, overlay, read_toml


@dataclass(frozen=True)
class Grid:
    """Named recipes, in the order in which the axes were written, the last one varying fastest."""

    source: str
    runs: dict[str, Recipe]


def load_grid(path: Path) -> Grid:
    """Read a grid: `recipe` is a table of settings or the path of a recipe, `[axes]` maps keys to lists of values.

    Keys joined by commas vary together: `"adapter.method, optim.lr" = [["lora", 3e-4], ["full", 3e-5]]`.
    """
    tables = read_toml(path)
    for key in tables:
        if key not in ("recipe", "axes"):
            raise UserError(f"unknown key {key} in {path}", "a grid holds a recipe and axes", "recipe or [axes]")
    recipe = tables.get("recipe", {})
    if isinstance(recipe, str):
        recipe = read_toml(path.parent / recipe)
    axes = tables.get("axes", {})
    if not isinstance(axes, dict):
        raise UserError(f"axes = {axes!r} in {path}", "axes map keys to lists of values", '"optim.lr" = [1e-4, 1e-3]')
    named = [name for axis in axes for name in axis_keys(axis)]
    for name in named:
        if named.count(name) > 1:
            raise UserError(f"{name} is varied twice in {path}", "a run has one value of it", "name each key once")
    points = [axis_points(axis, values, path) for axis, values in axes.items()]
    runs = {}
    for point in itertools.product(*points):
        settings = {key: value for part in point for key, value in part.items()}
        tables = recipe
        for key, value in settings.items():
            section, name = key.split(".")
            tables = overlay(tables, {section: {name: value}})
        name = run_name(settings)
        if name in runs:
            raise UserError(f"two points of {path} are both {name}", "a value is listed twice", "list each value once")
        runs[name] = make_recipe(tables, source=str(path))
    return Grid(path.read_text(encoding="utf-8-sig"), runs)


def axis_keys(axis: str) -> list[str]:
    """The keys that an axis names."""
    return [name.strip() for name in axis.split(",")]


def axis_points(axis: str, values: Any, path: Path) -> list[dict[str, Any]]:
    """The settings of one axis, `{key: value}` a point, of several keys where it joins them by commas."""
    names = axis_keys(axis)
    for name in names:
        if name not in keys():
            raise UserError(f"unknown axis {name} in {path}", "an axis is a key of the recipe", nearest(name, keys()))
    if not isinstance(values, list) or not values:
        raise UserError(f"axis {axis} in {path} is no list of values", "nothing to vary", f'"{axis}" = [..., ...]')
    if len(names) == 1:
        return [{names[0]: value} for value in values]
    for value in values:
        if not isinstance(value, list) or len(value) != len(names):
            raise UserError(
                f"axis {axis} in {path} holds {value!r}",
                f"its {len(names)} keys vary together, so that each point has {len(names)} values",
                f'"{axis}" = [[..., ...], [..., ...]]',
            )
    return [dict(zip(names, value, strict=True)) for value in values]


def run_name(settings: dict[str, Any]) -> str:
    """`lr0.001-rlpo-seed0`: strings as they are, other values after the key's last word, fit for a file name."""
    parts = [value if isinstance(value, str) else f"{key.rpartition('.')[2]}{value}" for key, value in settings.items()]
    return re.sub(r"[^\w.+-]+", "_", "-".join(parts)).strip("._") or "run"
