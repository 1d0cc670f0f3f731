"""[cluster]: what of a recipe `stiefel launch` reads alone."""

from __future__ import annotations

from .recipe import Recipe
from .sections import ClusterSettings

LAUNCHED = "cluster"


def left_to_launch(recipe: Recipe) -> str:
    """A line that names what a run in this process leaves of [cluster], or nothing where nothing is set there."""
    usual = ClusterSettings()
    keys = [key for key in ClusterSettings.model_fields if vars(recipe.cluster)[key] != vars(usual)[key]]
    if not keys:
        return ""
    named = ", ".join(f"{LAUNCHED}.{key} = {shown(vars(recipe.cluster)[key])}" for key in keys)
    verb, them = ("is", "it") if len(keys) == 1 else ("are", "them")
    return f"note: {named} {verb} for `stiefel launch`, and nothing here reads {them}"


def shown(value: bool | int) -> str:
    """A value as TOML writes it."""
    return str(value).lower() if isinstance(value, bool) else str(value)
