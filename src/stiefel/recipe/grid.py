"""A grid: one recipe, and the axes along which it varies."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ..errors import UserError, nearest
from .changes import parse_change, places_set
from .explained import explain, keys
from .measured import MeasureSettings
from .read import read_toml
from .recipe import Recipe, is_grid, make_recipe, overlay, profiled, profiles_of

RATES = {
    "kl": "a first step of every run costs the same KL",
    "matched-step": "a first step of every run is as large as the first run's",
    "tuned": "each method has the rate of the axis optim.lr that is best on a validation split",
}
RATE_WORDS = "; ".join(f'"{name}": {words}' for name, words in RATES.items())
TUNED = "tuned"
VALIDATION = 200  # questions by which a rate is chosen, where the recipe does not say
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
        "a text or a table of tables",
        "",
        "A text: which of the recipe's profiles lies over it, empty for none; a recipe with profiles needs it, or "
        "`--profile`. Tables, [profile.NAME]: the grid's own profiles, each with keys of a grid that take the place of "
        "the grid's, of which `--profile` chooses one.",
        (),
        'profile = "nano"',
    ),
    "rate": (
        f"one of {', '.join(RATES)}",
        "",
        "Where each run's optim.lr comes from: "
        + "; ".join(f'`"{name}"`: {words}' for name, words in RATES.items())
        + ".",
        ('refused beside an axis optim.lr if it is `"kl"` or `"matched-step"`, without one if it is `"tuned"`',),
        'rate = "kl"',
    ),
    "measure": (
        "a table of settings",
        "none",
        "What else of the grid's runs was published, which `stiefel reproduce` sets beside ours.",
        (),
        'measure.kind = "start-norm"',
    ),
    "axes": (
        "a table, each value a list",
        "{}",
        "Key of the recipe → its values: a run for every combination, the last axis varies fastest; keys joined by "
        "commas vary together, each of the values a list then.",
        ("`--set` of a key that is varied is refused",),
        '"adapter.method" = ["lora", "rlpo"]',
    ),
}


@dataclass(frozen=True)
class Grid:
    """Named recipes, in the order in which the axes were written, the last one varying fastest."""

    source: str
    runs: dict[str, Recipe]
    points: dict[str, dict[str, Any]]
    """Of each run the values that its axes give it, `{key: value}`, in the order in which the axes were written."""
    measure: MeasureSettings | None = None  # what else of its runs was published
    rate: str = ""  # one of RATES: where each run's optim.lr comes from, if it is not the recipe's

    @property
    def matched(self) -> bool:
        """Whether its rates are found before the first run."""
        return self.rate not in ("", TUNED)

    @property
    def tuned(self) -> bool:
        """Whether its rates are chosen after the runs, before anything is measured on the test split."""
        return self.rate == TUNED


LAID_OVER = ("recipe", "profile", "axes")  # of a grid's file: what a profile of its own changes in a way of its own
KEYS = tuple(GRID_KEYS)  # of any other key a profile's value takes the place of the grid's


def load_grid(path: Path, changes: Iterable[str] = (), profile: str = "") -> Grid:
    """Read a grid: `recipe` is a table of settings or the path of a recipe, `[axes]` maps keys to lists of values.

    Keys joined by commas vary together: `"adapter.method, optim.lr" = [["lora", 3e-4], ["full", 3e-5]]`. `rate`, one of
    RATES, says that each run's optim.lr is found before the first run, or chosen after them by a validation split. A
    recipe with profiles needs one of them: `profile = "nano"` at the grid's top, or the one that is given here;
    `profile = ""` asks for none. A grid may have profiles too, `[profile.NAME]` with keys of a grid, which the one that
    is given here chooses: its axes take the place of those of the same keys, or come after them, or drop them where
    they are empty. The recipe's profile lies over the recipe, the grid's over that, the `--set a.b=value` changes and
    each point's values over all. `[measure]` says what else of its runs was published.
    """
    tables, changes = read_toml(path, "grid"), list(changes)
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
    refuse_unknown(tables, str(path))
    own = grid_profile(tables, profile, path)
    tables |= {key: value for key, value in (own or {}).items() if key not in LAID_OVER}
    shared = base_recipe(tables, own, profile, path)
    recipe, set_over = changed(shared, changes), list(places_set(shared, map(parse_change, changes)))
    axes = chosen_axes(tables.get("axes", {}), {} if own is None else own.get("axes", {}), profile, path)
    named = [name for axis in axes for name in axis_keys(axis)]
    for name in named:
        if named.count(name) > 1:
            raise UserError(f"{name} is varied twice in {path}", "a run has one value of it", "name each key once")
    for change in changes:
        refuse_change_of_axis(change, named, path)
    rate = rate_rule(tables, named, path)
    points = [axis_points(axis, values, path) for axis, values in axes.items()]
    runs: dict[str, Recipe] = {}
    varied: dict[str, dict[str, Any]] = {}
    same: dict[str, str] = {}  # a recipe's text → the point that has it
    for point in itertools.product(*points):
        settings = {key: value for part in point for key, value in part.items()}
        cell = recipe
        for key, value in settings.items():
            section, name = key.split(".")
            cell = overlay(cell, {section: {name: value}})
        cell = deferred(cell) if rate == TUNED else cell
        name = run_name(settings)
        if name in runs:
            raise UserError(f"two points of {path} are both {name}", "a value is listed twice", "list each value once")
        runs[name], varied[name] = make_recipe(cell, source=str(path), set_over=set_over), settings
        other = same.setdefault(runs[name].model_dump_json(), name)
        if other != name:
            raise UserError(
                f"two points of {path} are one run: {other} and {name}",
                "their recipes are equal, and the same run would stand in the table twice",
                "leave one of them out",
            )
    asked = [f"# --profile {profile}\n"] if profile else []
    source = "".join([path.read_text(encoding="utf-8-sig"), *asked, *(f"# --set {one}\n" for one in changes)])
    return Grid(source, runs, varied, measured_of(tables, path), rate)


def measured_of(tables: Mapping[str, Any], path: Path) -> MeasureSettings | None:
    """The grid's [measure]."""
    if "measure" not in tables:
        return None
    try:
        return MeasureSettings.model_validate(tables["measure"])
    except ValidationError as error:
        raise explain(error, MeasureSettings, f"[measure] of {path}") from error


def rate_rule(tables: Mapping[str, Any], axes: list[str], path: Path) -> str:
    """What the grid says of rates, "" where each run has its recipe's."""
    rate = tables.get("rate", "")
    if rate == "" or (isinstance(rate, str) and rate in RATES):
        if rate == TUNED and "optim.lr" not in axes:
            raise UserError(
                f'rate = "tuned" without the axis optim.lr in {path}',
                "a rate is chosen among those of the axis",
                'write "optim.lr" = [1e-4, 1e-3] under [axes], or leave rate out',
            )
        if rate and rate != TUNED and "optim.lr" in axes:
            raise UserError(
                f'rate = "{rate}" beside the axis optim.lr in {path}',
                f"the rate is found by it, so that {RATES[rate]}",
                "leave one of them out",
            )
        return str(rate)
    raise UserError(
        f"rate = {rate!r} in {path}",
        f"it says where each run's learning rate comes from: {RATE_WORDS}",
        nearest(rate, RATES) if isinstance(rate, str) else 'rate = "kl"',
    )


def deferred(cell: dict[str, Any]) -> dict[str, Any]:
    """A cell that measures its validation split, and leaves its test until a rate is chosen."""
    found = overlay(overlay({"eval": {"validation": VALIDATION}}, cell), {"eval": {"defer": True}})
    if not found["eval"]["validation"]:
        raise UserError(
            f'rate = "{TUNED}" with eval.validation = 0',
            "the rate of each method is chosen by questions that are kept out of its training",
            f"leave eval.validation out, which is {VALIDATION} then, or give a number",
        )
    return found


def refuse_unknown(tables: Mapping[str, Any], place: str) -> None:
    """Raise for a key that a grid, or a profile of one, has not."""
    for key in tables:
        if key not in KEYS:
            raise UserError(
                f"unknown key {key} in {place}",
                "a grid holds a recipe, a profile, a rate, axes and what is measured of its runs",
                f"one of {', '.join(KEYS)}",
            )


def grid_profile(tables: Mapping[str, Any], profile: str, path: Path) -> Mapping[str, Any] | None:
    """The grid's own profile of that name; None where it has none, as where its `profile` names one of the recipe's."""
    found = tables.get("profile", {})
    if isinstance(found, str):
        return None
    if not isinstance(found, Mapping) or not all(isinstance(table, Mapping) for table in found.values()):
        raise UserError(
            f"profile = {found!r} in {path}",
            "it names one of the recipe's profiles, or is a table of the grid's own",
            'profile = "nano", above [axes], or [profile.nano.axes]',
        )
    for name, table in found.items():
        refuse_unknown(table, f"[profile.{name}] of {path}")
    return found.get(profile)


def base_recipe(tables: Mapping[str, Any], own: Mapping[str, Any] | None, profile: str, path: Path) -> dict[str, Any]:
    """What all points share: the grid's recipe with one of its profiles, and what the grid's own profile says of it."""
    above = {} if own is None else own.get("recipe", {})
    recipe, source = tables.get("recipe", {}), str(path)
    if isinstance(above, str):  # another recipe
        recipe, above = above, {}
    if isinstance(recipe, str):
        source = str(path.parent / recipe)
        recipe = read_toml(path.parent / recipe)
        if is_grid(recipe):
            raise UserError(
                f"the recipe of {path} is itself a grid", "the axes of two grids would be mixed", "name a recipe"
            )
    for found in (recipe, above):
        if not isinstance(found, Mapping):
            raise UserError(
                f"recipe = {found!r} in {path}", "a recipe is a table of settings", "write [recipe.adapter]"
            )
    if "profile" in above:
        raise UserError(
            f"[profile.{profile}.recipe.profile] in {path}", "a profile has none itself", "profiles of the recipe alone"
        )
    profiles = profiles_of(recipe, source)
    return overlay(profiled(recipe, recipe_profile(tables, own, profile, profiles, path, source), source), above)


def recipe_profile(
    tables: Mapping[str, Any],
    own: Mapping[str, Any] | None,
    profile: str,
    profiles: Mapping[str, Any],
    path: Path,
    source: str,
) -> str:
    """Which of the recipe's profiles: what the grid's own one says, else that of the same name, else the grid's."""
    top = tables.get("profile", {})
    if profile and profile not in profiles and own is None:
        of_grid = sorted(top) if isinstance(top, Mapping) else []
        raise UserError(
            f"{path} has no profile {profile!r}, nor has its recipe",
            f"the grid has {', '.join(of_grid) or 'none'}; the recipe has {', '.join(sorted(profiles)) or 'none'}",
            nearest(profile, [*of_grid, *profiles]) if of_grid or profiles else "leave the profile out",
        )
    named = own.get("profile") if own is not None else None
    if named is None:
        named = profile if profile in profiles else top if isinstance(top, str) else None
    if named is not None and not isinstance(named, str):
        raise UserError(
            f"profile = {named!r} in [profile.{profile}] of {path}", "it names one of the recipe's", 'profile = "nano"'
        )
    if profiles and named is None:
        where = f"in [profile.{profile}]" if own is not None else "at the top of the grid"
        raise UserError(
            f"{path} names none of its recipe's profiles",
            f"{source} has {', '.join(sorted(profiles))}, and without one it is no whole protocol",
            f'profile = "{min(profiles)}" {where}, or --profile {min(profiles)}; profile = "" for none',
        )
    return named or ""


def chosen_axes(axes: Any, above: Any, profile: str, path: Path) -> dict[str, Any]:
    """The grid's axes with a profile's in their places; new ones come last, and an empty list there drops its axis."""
    for found, where in ((axes, ""), (above, f"profile.{profile}.")):
        if not isinstance(found, dict):
            raise UserError(
                f"{where}axes = {found!r} in {path}", "axes map keys to lists of values", '"optim.lr" = [1e-4, 1e-3]'
            )
    names = {tuple(axis_keys(axis)): axis for axis in axes}
    chosen = dict(axes)
    for axis, values in above.items():
        place = names.get(tuple(axis_keys(axis)), axis)
        if values != []:
            chosen[place] = values
        elif chosen.pop(place, None) is None:
            raise UserError(
                f"[profile.{profile}.axes] of {path} drops {axis}, which is no axis of it",
                "an empty list in a profile drops the grid's axis of the same keys",
                nearest(axis, axes) if axes else "leave it out",
            )
    return chosen


def profile_names(path: Path, *, own: bool = False) -> list[str]:
    """The profiles of a recipe, or of a grid and its recipe, in their order; with `own` those of the file itself."""
    tables = read_toml(path)
    grid = is_grid(tables)
    names = [] if grid and isinstance(tables.get("profile"), str) else list(profiles_of(tables, str(path)))
    recipe = tables.get("recipe") if grid and not own else None
    if isinstance(recipe, str):
        recipe = read_toml(path.parent / recipe)
    return list(dict.fromkeys([*names, *(profiles_of(recipe, str(path)) if isinstance(recipe, Mapping) else ())]))


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
    if values == []:
        raise UserError(
            f"axis {axis} in {path} has no value",
            "the grid would have no run",
            f'"{axis}" = [..., ...], or leave it out',
        )
    if not isinstance(values, list):
        raise UserError(
            f"axis {axis} = {values!r} in {path} is no list of values",
            "a run is made for each of its values",
            f'"{axis}" = [..., ...]',
        )
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
