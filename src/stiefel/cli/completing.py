"""What a shell offers where Tab is pressed: names of methods, tasks, profiles and a recipe's keys.

A shell waits for it, so that nothing that is slow to import is imported.
"""

from __future__ import annotations

import ast
from pathlib import Path

import click
from click.shell_completion import CompletionItem

from ..errors import UserError

REGISTRY = Path(__file__).parents[1] / "methods" / "registry.py"  # read, as importing it takes torch


def method_names() -> list[str]:
    """The names in the tuple METHODS, in its order."""
    for node in ast.parse(REGISTRY.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == "METHODS":
            assert isinstance(node.value, ast.Tuple)
            return [ast.unparse(name) for name in node.value.elts]
    raise AssertionError("no tuple METHODS")


def methods(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """A method, the next part of `rlpo+dora`, or the next of several with commas."""
    cut = max(incomplete.rfind(sign) for sign in "+,") + 1
    before, begun = incomplete[:cut], incomplete[cut:]
    return [CompletionItem(before + name) for name in method_names() if name.startswith(begun)]


def tasks(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """A task of ours, with what it asks."""
    from ..tasks import TASKS

    return [CompletionItem(task.name, help=task.description) for task in TASKS if task.name.startswith(incomplete)]


def algorithms(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """A loss."""
    from ..recipe import ALGORITHMS

    return [CompletionItem(name) for name in ALGORITHMS if name.startswith(incomplete)]


def profiles(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """A profile of the recipe, or of the grid's recipe, that stands on the line."""
    from ..recipe import profile_names

    # where the option stands last, without its value, click leaves the words before it as they are
    words = [context.params.get("recipe"), context.params.get("grid"), *context.args]
    given = next((Path(word) for word in words if word and str(word).endswith(".toml")), None)
    try:
        names = profile_names(given) if given else []
    except (UserError, OSError):  # no file yet, or none that can be read: the command itself will say so
        return []
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


def changes(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """A key of the recipe with its `=`, and behind that the values that it takes where these are few."""
    from ..recipe import recipe_keys

    key, equals, begun = incomplete.partition("=")
    settable = [one for one in recipe_keys() if one.settable]
    if not equals:
        return [CompletionItem(f"{one.name}=", help=one.meaning) for one in settable if one.name.startswith(key)]
    found = [one for one in settable if one.name == key]
    choices = found[0].choices if found else ()
    return [CompletionItem(f"{key}={value}") for value in choices if value.startswith(begun)]


def keys(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """A key of a recipe or a grid, or one of their tables."""
    from ..recipe import grid_keys, recipe_keys, sections

    names = {one.name: one.meaning for one in (*recipe_keys(), *grid_keys())} | sections()
    return [CompletionItem(name, help=words) for name, words in names.items() if name.startswith(incomplete)]
