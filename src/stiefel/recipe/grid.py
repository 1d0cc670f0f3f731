"""A grid: one recipe, and the axes along which it varies."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import UserError, nearest
from .explained import keys
from .recipe import Recipe, is_grid, make_recipe, overlay, parse_change, profiled, profiles_of, read_toml

RATES = {
    "kl": "a first step of every run costs the same KL",
    "matched-step": "a first step of every run is as large as the first run's",
}
# key → its type, default, meaning, notes, and an example
GRID_KEYS: dict[str, tuple[str, str, str, tuple[str, ...], str]] = {
    "recipe": (
        "a text or a table of settings",
        "{}",
        "What all runs share: a recipe's path, from the grid's directory, or its tables, [recipe.optim] and others.",
        (),
        'recipe = "dapo.toml"',
    ),
    "profile": (
        "a text",
        "",
        "Which of the recipe's profiles lies over it; empty for none. A recipe with profiles needs it, or --profile.",
        (),
        'profile = "nano"',
    ),
    "rate": (
        f"one of {', '.join(RATES)}",
        "",
        "Where each run's optim.lr comes from, found before the first run: "
        + "; ".join(f"{name}: {words}" for name, words in RATES.items())
        + ".",
        ("refused beside an axis optim.lr",),
        'rate = "kl"',
    ),
    "axes": (
        "a table, each value a list",
        "{}",
        "Key of the recipe → its values: a run for every combination, the last axis varies fastest; keys joined by "
        "commas vary together, each of the values a list then.",
        ("--set of a key that is varied is refused",),
        '"adapter.method" = ["lora", "rlpo"]',
    ),
}


@dataclass(frozen=True)
class Grid:
    """Named recipes, in the order in which the axes were written, the last one varying fastest."""

    source: str
    runs: dict[str, Recipe]
    rate: str = ""  # one of RATES: where each run's optim.lr comes from, if it is not the recipe's


def load_grid(path: Path, changes: Iterable[str] = (), profile: str = "") -> Grid:
    """Read a grid: `recipe` is a table of settings or the path of a recipe, `[axes]` maps keys to lists of values.

    Keys joined by commas vary together: `"adapter.method, optim.lr" = [["lora", 3e-4], ["full", 3e-5]]`. `rate`, one of
    RATES, says that each run's optim.lr is found before the first run. A recipe with
    profiles needs one of them: `profile = "nano"` at the grid's top, or the one that is given here; `profile = ""` asks
    for none. The profile lies over the recipe, the `--set a.b=value` changes and each point's values over both.
    """
    tables, changes = read_toml(path), list(changes)
    of_recipes = [key for key in tables if key in Recipe.model_fields]
    if of_recipes and not tables.keys() & {"recipe", "axes"}:
        raise UserError(
            f"{path} is a recipe", "it is one run, and a grid varies it along axes", f"stiefel train {path} --out DIR"
        )
    if of_recipes:
        raise UserError(
            f"[{of_recipes[0]}] in {path} stands beside a grid's own tables",
            "a grid's settings are those of its recipe",
            f"write [recipe.{of_recipes[0]}]",
        )
    for key in tables:
        if key not in GRID_KEYS:
            raise UserError(
                f"unknown key {key} in {path}",
                "a grid holds a recipe, a profile, a rate and axes",
                "recipe, profile, rate or [axes]",
            )
    recipe = changed(base_recipe(tables, profile, path), changes)
    axes = tables.get("axes", {})
    if not isinstance(axes, dict):
        raise UserError(f"axes = {axes!r} in {path}", "axes map keys to lists of values", '"optim.lr" = [1e-4, 1e-3]')
    named = [name for axis in axes for name in axis_keys(axis)]
    for name in named:
        if named.count(name) > 1:
            raise UserError(f"{name} is varied twice in {path}", "a run has one value of it", "name each key once")
    for change in changes:
        refuse_change_of_axis(change, named, path)
    rate = rate_rule(tables, named, path)
    points = [axis_points(axis, values, path) for axis, values in axes.items()]
    runs = {}
    for point in itertools.product(*points):
        settings = {key: value for part in point for key, value in part.items()}
        cell = recipe
        for key, value in settings.items():
            section, name = key.split(".")
            cell = overlay(cell, {section: {name: value}})
        name = run_name(settings)
        if name in runs:
            raise UserError(f"two points of {path} are both {name}", "a value is listed twice", "list each value once")
        runs[name] = make_recipe(cell, source=str(path))
    asked = [f"# --profile {profile}\n"] if profile else []
    return Grid(
        "".join([path.read_text(encoding="utf-8-sig"), *asked, *(f"# --set {one}\n" for one in changes)]), runs, rate
    )


def rate_rule(tables: Mapping[str, Any], axes: list[str], path: Path) -> str:
    """What the grid says of rates, "" where each run has its recipe's."""
    rate = tables.get("rate", "")
    if rate == "" or (isinstance(rate, str) and rate in RATES):
        if rate and "optim.lr" in axes:
            raise UserError(
                f'rate = "{rate}" beside the axis optim.lr in {path}',
                f"the rate is found by it, so that {RATES[rate]}",
                "leave one of them out",
            )
        return str(rate)
    raise UserError(
        f"rate = {rate!r} in {path}",
        "it says where each run's learning rate comes from: "
        + "; ".join(f'"{name}": {words}' for name, words in RATES.items()),
        nearest(rate, RATES) if isinstance(rate, str) else 'rate = "kl"',
    )


def base_recipe(tables: Mapping[str, Any], profile: str, path: Path) -> dict[str, Any]:
    """What all points share: the grid's recipe with one of its profiles."""
    recipe, source = tables.get("recipe", {}), str(path)
    if isinstance(recipe, str):
        source = str(path.parent / recipe)
        recipe = read_toml(path.parent / recipe)
        if is_grid(recipe):
            raise UserError(
                f"the recipe of {path} is itself a grid", "the axes of two grids would be mixed", "name a recipe"
            )
    if not isinstance(recipe, Mapping):
        raise UserError(f"recipe = {recipe!r} in {path}", "a recipe is a table of settings", "write [recipe.adapter]")
    named = tables.get("profile")
    if named is not None and not isinstance(named, str):
        raise UserError(
            f"profile = {named!r} in {path}", "it names one of the recipe's profiles", 'profile = "nano", above [axes]'
        )
    profiles = profiles_of(recipe, source)
    if profiles and not profile and named is None:
        raise UserError(
            f"{path} names none of its recipe's profiles",
            f"{source} has {', '.join(sorted(profiles))}, and without one it is no whole protocol",
            f'profile = "{min(profiles)}" at the top of the grid, or --profile {min(profiles)}; profile = "" for none',
        )
    return profiled(recipe, profile or named or "", source)


def profile_names(path: Path) -> list[str]:
    """The profiles of a recipe, or of a grid's recipe."""
    tables = read_toml(path)
    recipe = tables.get("recipe") if is_grid(tables) else tables
    if isinstance(recipe, str):
        recipe = read_toml(path.parent / recipe)
    return sorted(profiles_of(recipe, str(path))) if isinstance(recipe, Mapping) else []


def changed(recipe: dict[str, Any], changes: Iterable[str]) -> dict[str, Any]:
    """The recipe with `--set` changes."""
    for change in changes:
        recipe = overlay(recipe, parse_change(change))
    return recipe


def refuse_change_of_axis(change: str, axes: list[str], path: Path) -> None:
    """Raise where a change sets what the grid varies, so that it would be lost."""
    key = ".".join(part.strip() for part in change.partition("=")[0].split("."))
    for axis in axes:
        if f"{key}.".startswith(f"{axis}.") or f"{axis}.".startswith(f"{key}."):
            raise UserError(
                f"--set {change!r} sets {axis}, which {path} varies",
                "every point has a value of its own, and the change would be lost",
                "leave it out, or change the axis in the grid",
            )


def axis_keys(axis: str) -> list[str]:
    """The keys that an axis names."""
    return [name.strip() for name in axis.split(",")]


def axis_points(axis: str, values: Any, path: Path) -> list[dict[str, Any]]:
    """The settings of one axis, `{key: value}` a point, of several keys where it joins them by commas."""
    names = axis_keys(axis)
    for name in names:
        if name not in keys(Recipe):
            raise UserError(
                f"unknown axis {name} in {path}", "an axis is a key of the recipe", nearest(name, keys(Recipe))
            )
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
